// Runs the engine without waiting inside it: a logical call is one export call with all its passes.
// A pass ends with a store operation if its reply is not known yet; the next pass repeats the call with the reply.

import { instantiate } from './abi.js';
import { world } from './types.js';

/** The maximum number of import calls in one logical call. The engine stays below it; this limit enforces it. */
const MAXIMUM_IMPORT_CALLS = 32;
/** The maximum number of random bytes in one request. */
const MAXIMUM_RANDOM_BYTES = 64;

const PACKAGE = 'tessera:session';
const VERSION = '0.2.0';
const face = (name) => `${PACKAGE}/${name}@${VERSION}`;

/** The component broke the protocol or trapped. Its instance must not be used again. */
export class Lost extends Error {}

const PENDING = { tag: 'err', val: { tag: 'pending' } };

/** One instance of the component. Passes run on it one after another, and no call holds it while it waits. */
export class Engine {
  #instance;
  #running = null;
  /** Whether the instance trapped and must be discarded. */
  lost = false;

  /** `capabilities` is the result of `describe` in `store.wit`. */
  constructor(module, capabilities) {
    const ask = (operation, named) => this.#asked().ask(operation, named);
    this.#instance = instantiate(module, world, {
      [face('clock')]: { now: () => this.#asked().now() },
      [face('random')]: { bytes: (count) => this.#asked().random(count) },
      [face('store')]: {
        describe: () => capabilities,
        get: (key, fresh) => ask('get', { key, fresh }),
        'get-many': (keys) => ask('get-many', { keys }),
        insert: (key, value, at) => ask('insert', { key, value, at }),
        replace: (key, value, expected, at) => ask('replace', { key, value, expected, at }),
        touch: (key, owner, expiresAt) => ask('touch', { key, owner, expiresAt }),
        delete: (key, condition) => ask('delete', { key, while: condition }),
        'delete-many': (deletions, owner) => ask('delete-many', { deletions, owner }),
        'list-owned': (owner, cursor, limit) => ask('list-owned', { owner, cursor, limit }),
      },
    });
  }

  #asked() {
    if (this.#running === null) throw new Lost('the component called an import outside a call');
    return this.#running;
  }

  /** The size of the instance's memory, in bytes. */
  get bytes() {
    return this.#instance.memory.buffer.byteLength;
  }

  /** Runs one pass of a call. An exception means that the instance is lost. */
  run(call, name, args) {
    if (this.lost) throw new Lost('the instance was lost');
    const [owner, fn] = name.split('#');
    const target = this.#instance.exports.get(`${face(owner)}#${fn}`);
    if (target === undefined) throw new TypeError(`the engine does not export ${name}`);
    this.#running = call;
    try {
      return target(args);
    } catch (error) {
      this.lost = true;
      throw error;
    } finally {
      this.#running = null;
    }
  }
}

// JSON has neither a BigInt nor bytes: writes a decimal string and a list of numbers.
const write = (_, value) => {
  if (typeof value === 'bigint') return value.toString();
  return value instanceof Uint8Array ? Array.from(value) : value;
};

/** The JSON text of a value of the engine. */
export const toText = (value) => JSON.stringify(value, write);

/** One logical call. Arguments and replies are JSON texts in the form of {@link toText}. */
export class Call {
  #engine;
  #name;
  #args;
  // The replay log: each import call as text with its reply, in order.
  #record = [];
  #position = 0;
  #pending = null;
  #clock;
  #now = null;
  // The last time that the component received.
  #told;

  /** `name` is `interface#function`, such as `sessions#open`; `clock` returns the time in milliseconds since 1970. */
  constructor(engine, name, args, clock = Date.now) {
    this.#engine = engine;
    this.#name = name;
    this.#args = JSON.parse(args);
    this.#clock = clock;
  }

  /** Continues on another instance, in which the engine has this number. The replay log is kept. */
  moveTo(engine, number) {
    this.#engine = engine;
    this.#args[0] = number;
  }

  /**
   * Starts the replay log with a time and a store operation that has its reply already, so that it is not sent twice.
   * Entries that the call does not request are ignored.
   */
  goOnFrom(now, asked, answer) {
    const { operation, ...named } = JSON.parse(asked);
    this.#record.push(['now', now], [toText([operation, named]), JSON.parse(answer)]);
  }

  /**
   * Runs the next pass.
   *
   * Returns `{done, now}`, with the last time that the component received, or `{asked, now}`, with the store operation to
   * perform and its time.
   */
  pass() {
    this.#position = 0;
    this.#pending = null;
    const done = this.#engine.run(this, this.#name, this.#args);
    if (this.#pending === null) return toText({ done, now: this.#told });
    if (!(done?.tag === 'err' && done.val.kind === 'pending')) {
      this.#engine.lost = true;
      throw new Lost('the component ended a call while a reply was pending');
    }
    const [operation, named] = this.#pending;
    return toText({ asked: { operation, ...named }, now: this.#time() });
  }

  /** Records the reply to the operation of the last pass: the result of the import, as in `store.wit`. */
  answer(text) {
    const [operation, named] = this.#pending;
    this.#record.push([toText([operation, named]), JSON.parse(text)]);
    this.#pending = null;
    this.#now = null;
  }

  // The next recorded reply, or undefined at the end of the log. A repeated call must make the same import calls.
  #replay(question) {
    if (this.#pending !== null) throw new Lost('the component called an import while a reply was pending');
    if (this.#position === this.#record.length) {
      if (this.#position >= MAXIMUM_IMPORT_CALLS) throw new Lost('the component made too many import calls in one call');
      return undefined;
    }
    const [asked, answer] = this.#record[this.#position];
    if (asked !== question) throw new Lost('the component made different import calls when its call was repeated');
    this.#position += 1;
    return answer;
  }

  #noted(question, answer) {
    this.#record.push([question, answer]);
    this.#position += 1;
    return answer;
  }

  // Constant between two waits.
  #time() {
    this.#now ??= this.#clock();
    return this.#now;
  }

  now() {
    this.#told = this.#replay('now') ?? this.#noted('now', this.#time());
    return this.#told;
  }

  random(count) {
    if (count > MAXIMUM_RANDOM_BYTES) throw new Lost('the component requested too many random bytes');
    const question = `random ${count}`;
    return this.#replay(question) ?? this.#noted(question, crypto.getRandomValues(new Uint8Array(count)));
  }

  ask(operation, named) {
    const answer = this.#replay(toText([operation, named]));
    if (answer !== undefined) return answer;
    this.#pending = [operation, named];
    return PENDING;
  }
}
