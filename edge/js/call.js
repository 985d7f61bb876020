// The engine as a host calls it that never waits inside of it: a logical call is one export with all its repeats.
// Where the store has not answered yet, the call ends with the question; once it is answered the same call is made again.

import { instantiate } from './abi.js';
import { world } from './types.js';

/** The most questions one logical call may ask; the engine keeps to it, this makes sure. */
const MAXIMUM_QUESTIONS = 32;
/** The most bytes that the engine may ask of the random source at once. */
const MAXIMUM_RANDOM_BYTES = 64;

const PACKAGE = 'tessera:session';
const VERSION = '0.2.0';
const face = (name) => `${PACKAGE}/${name}@${VERSION}`;

/** The component broke the protocol, or trapped: the instance is not to be used again. */
export class Lost extends Error {}

const PENDING = { tag: 'err', val: { tag: 'pending' } };

/** One instance of the component. Calls are made on it one after the other, and none holds it while it waits. */
export class Engine {
  #instance;
  #running = null;
  /** Whether an instance trapped here: it is to be thrown away. */
  lost = false;

  /**
   * `capabilities` is what the store promises, as `describe` in `store.wit` has it.
   */
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
    if (this.#running === null) throw new Lost('the component asked outside of a call');
    return this.#running;
  }

  /** Bytes of the instance's memory. */
  get bytes() {
    return this.#instance.memory.buffer.byteLength;
  }

  /** Makes one pass of a call: whatever is thrown has lost the instance. */
  run(call, name, args) {
    if (this.lost) throw new Lost('the instance was lost');
    const [owner, fn] = name.split('#');
    const target = this.#instance.exports.get(`${face(owner)}#${fn}`);
    if (target === undefined) throw new TypeError(`the engine has no ${name}`);
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

// BigInt as decimal text, and bytes as a list: what JSON has no words for.
const write = (_, value) => {
  if (typeof value === 'bigint') return value.toString();
  return value instanceof Uint8Array ? Array.from(value) : value;
};

/** Text of what came out of the engine, or is to go into it. */
export const toText = (value) => JSON.stringify(value, write);

/** One logical call. Arguments and answers are texts of JSON, made as {@link toText} makes them. */
export class Call {
  #engine;
  #name;
  #args;
  // What was asked and answered so far, in order: the question's text and the answer.
  #record = [];
  #position = 0;
  #pending = null;
  #clock;
  #now = null;
  // What the component was told last when it asked for the time.
  #told;

  /**
   * `name` is `interface#function`, as `sessions#open`; `clock` answers the time in milliseconds, and may be left out.
   */
  constructor(engine, name, args, clock = Date.now) {
    this.#engine = engine;
    this.#name = name;
    this.#args = JSON.parse(args);
    this.#clock = clock;
  }

  /** Goes on with another instance, which knows the engine by this number: what was asked and answered goes with it. */
  moveTo(engine, number) {
    this.#engine = engine;
    this.#args[0] = number;
  }

  /**
   * Begins after the time and a question to the store that were asked and answered before: no question is asked twice. What the
   * call does not ask for is left.
   */
  goOnFrom(now, asked, answer) {
    const { operation, ...named } = JSON.parse(asked);
    this.#record.push(['now', now], [toText([operation, named]), JSON.parse(answer)]);
  }

  /**
   * Makes the call, or makes it again. Answers `{done, now}`, or `{asked, now}` where the store is to be asked first: the time as
   * the component knows it, and as the store is to.
   */
  pass() {
    this.#position = 0;
    this.#pending = null;
    const done = this.#engine.run(this, this.#name, this.#args);
    if (this.#pending === null) return toText({ done, now: this.#told });
    if (!(done?.tag === 'err' && done.val.kind === 'pending')) {
      this.#engine.lost = true;
      throw new Lost('the component ended a call whose answer is pending');
    }
    const [operation, named] = this.#pending;
    return toText({ asked: { operation, ...named }, now: this.#time() });
  }

  /** Notes the answer to what the last pass asked: the result of the import, as in `store.wit`. */
  answer(text) {
    const [operation, named] = this.#pending;
    this.#record.push([toText([operation, named]), JSON.parse(text)]);
    this.#pending = null;
    this.#now = null;
  }

  // The next recorded answer, or undefined past the last. A repeat asks the same questions.
  #replay(question) {
    if (this.#pending !== null) throw new Lost('the component asked on while an answer was pending');
    if (this.#position === this.#record.length) {
      if (this.#position >= MAXIMUM_QUESTIONS) throw new Lost('the component asked too many questions in one call');
      return undefined;
    }
    const [asked, answer] = this.#record[this.#position];
    if (asked !== question) throw new Lost('the component asked other questions when its call was repeated');
    this.#position += 1;
    return answer;
  }

  #noted(question, answer) {
    this.#record.push([question, answer]);
    this.#position += 1;
    return answer;
  }

  // The same for all questions between two waits.
  #time() {
    this.#now ??= this.#clock();
    return this.#now;
  }

  now() {
    this.#told = this.#replay('now') ?? this.#noted('now', this.#time());
    return this.#told;
  }

  random(count) {
    if (count > MAXIMUM_RANDOM_BYTES) throw new Lost('the component asked for too many random bytes');
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
