// What the Worker asks of the component. Its module comes with the bundle: a Worker may not compile one from bytes.

import module from './engine.wasm';
import { Call, Engine } from './call.js';

export const makeEngine = (capabilities) => new Engine(module, JSON.parse(capabilities));

export const makeCall = (engine, name, args) => new Call(engine, name, args);

// By a clock that stands until `at` is set anew: for tests.
export const makeCallAt = (engine, name, args, now) => {
  const call = new Call(engine, name, args, () => call.at);
  call.at = now;
  return call;
};
