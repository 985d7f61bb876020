// The interface of the Worker to the component.
// The component's module is part of the bundle, because a Worker may not compile a module from bytes.

import module from './engine.wasm';
import { Call, Engine } from './call.js';

export const makeEngine = (capabilities) => new Engine(module, JSON.parse(capabilities));

export const makeCall = (engine, name, args) => new Call(engine, name, args);

// For tests: uses a clock that stands still at `at`, which the test sets.
export const makeCallAt = (engine, name, args, now) => {
  const call = new Call(engine, name, args, () => call.at);
  call.at = now;
  return call;
};
