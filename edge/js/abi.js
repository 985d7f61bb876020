// The part of the component model's canonical ABI that the engine's WIT uses.
// It lowers JavaScript values into a core module's memory and lifts them out of it.
// Each type is an object with its layout; `types.js`, which is generated from the component, combines these objects.
// This module is independent of sessions.
//
// Values in JavaScript: `u64` is a BigInt, `list<u8>` a Uint8Array, a record an object with camelCase members, a variant
// {tag, val}, an enum its name, an option the value or undefined, a result {tag: 'ok' | 'err', val}.

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

const MAXIMUM_FLAT_PARAMETERS = 16;
const MAXIMUM_FLAT_RESULTS = 1;

const align = (at, to) => Math.ceil(at / to) * to;

// ---- Scalar types: one flat value each.

const plain = (flat, size, load, store, lift, lower) => ({
  size,
  align: size,
  flat: [flat],
  load,
  store,
  lift: (memory, flats) => lift(flats.next().value),
  lower: (memory, value, out) => out.push(lower(value)),
});

const number = (value, minimum, maximum) => {
  const whole = Number(value);
  if (!Number.isInteger(whole) || whole < minimum || whole > maximum) throw new TypeError('number out of range');
  return whole;
};

const same = (value) => value;
const toU8 = (value) => number(value, 0, 0xff);
const toU32 = (value) => number(value, 0, 0xffff_ffff);

const toU64 = (value) => {
  const whole = BigInt(value);
  if (whole < 0n || whole > 0xffff_ffff_ffff_ffffn) throw new TypeError('number out of range');
  return whole;
};

export const bool = plain(
  'i32', 1,
  (m, at) => m.view().getUint8(at) !== 0,
  (m, at, value) => m.view().setUint8(at, value ? 1 : 0),
  (value) => value !== 0,
  (value) => (value ? 1 : 0),
);

export const u8 = plain(
  'i32', 1,
  (m, at) => m.view().getUint8(at),
  (m, at, value) => m.view().setUint8(at, toU8(value)),
  (value) => value & 0xff,
  toU8,
);

export const u32 = plain(
  'i32', 4,
  (m, at) => m.view().getUint32(at, true),
  (m, at, value) => m.view().setUint32(at, toU32(value), true),
  (value) => value >>> 0,
  toU32,
);

export const u64 = plain(
  'i64', 8,
  (m, at) => m.view().getBigUint64(at, true),
  (m, at, value) => m.view().setBigUint64(at, toU64(value), true),
  (value) => BigInt.asUintN(64, value),
  toU64,
);

// ---- Strings and lists: an address and a length.

const pair = (read, write) => ({
  size: 8,
  align: 4,
  flat: ['i32', 'i32'],
  load: (m, at) => read(m, m.view().getUint32(at, true), m.view().getUint32(at + 4, true)),
  store(m, at, value) {
    const [place, length] = write(m, value);
    m.view().setUint32(at, place, true);
    m.view().setUint32(at + 4, length, true);
  },
  lift(m, flats) {
    const place = flats.next().value >>> 0;
    return read(m, place, flats.next().value >>> 0);
  },
  lower: (m, value, out) => out.push(...write(m, value)),
});

export const string = pair(
  (m, place, length) => decoder.decode(m.bytes().subarray(place, place + length)),
  (m, value) => {
    if (typeof value !== 'string') throw new TypeError('value is not a string');
    const bytes = encoder.encode(value);
    const place = m.allocate(bytes.length, 1);
    m.bytes().set(bytes, place);
    return [place, bytes.length];
  },
);

const byteList = pair(
  (m, place, length) => m.bytes().slice(place, place + length),
  (m, value) => {
    const bytes = value instanceof Uint8Array ? value : Uint8Array.from(value, toU8);
    const place = m.allocate(bytes.length, 1);
    m.bytes().set(bytes, place);
    return [place, bytes.length];
  },
);

export const list = (item) =>
  item === u8
    ? byteList
    : pair(
        (m, place, length) => Array.from({ length }, (_, n) => item.load(m, place + n * item.size)),
        (m, values) => {
          const place = m.allocate(values.length * item.size, item.align);
          values.forEach((value, n) => item.store(m, place + n * item.size, value));
          return [place, values.length];
        },
      );

// ---- Records and tuples: the members in order.

const layout = (types) => {
  let at = 0;
  const offsets = types.map((type) => {
    const offset = align(at, type.align);
    at = offset + type.size;
    return offset;
  });
  const alignment = Math.max(1, ...types.map((type) => type.align));
  return { offsets, align: alignment, size: align(at, alignment), flat: types.flatMap((type) => type.flat) };
};

const parts = (types, take, give) => {
  const { offsets, ...laid } = layout(types);
  return {
    ...laid,
    load: (m, at) => give((n) => types[n].load(m, at + offsets[n])),
    store: (m, at, value) => types.forEach((type, n) => type.store(m, at + offsets[n], take(value, n))),
    lift: (m, flats) => give((n) => types[n].lift(m, flats)),
    lower: (m, value, out) => types.forEach((type, n) => type.lower(m, take(value, n), out)),
  };
};

export const record = (members) =>
  parts(
    members.map(([, type]) => type),
    (value, n) => value[members[n][0]],
    (part) => {
      const value = {};
      members.forEach(([name], n) => {
        value[name] = part(n);
      });
      return value;
    },
  );

export const tuple = (types) =>
  parts(types, (value, n) => value[n], (part) => types.map((_, n) => part(n)));

// ---- Variants: the case's number, then its payload.

// The flat type that can hold the values of both cases at one position.
const join = (one, other) => (one === other || one === undefined ? other : 'i64');

const widen = (value, from, to) => (from === to ? value : BigInt.asUintN(32, BigInt(value)));

const narrow = (value, from, to) => (from === to ? value : Number(BigInt.asUintN(32, value)));

// `which` returns the case's number and the payload of a value; `make` builds a value from these.
const cases = (types, which, make) => {
  const present = types.filter((type) => type !== null);
  const tagSize = types.length <= 0x100 ? 1 : 2;
  const inner = Math.max(1, ...present.map((type) => type.align));
  const alignment = Math.max(tagSize, inner);
  const offset = align(tagSize, inner);
  const size = align(offset + Math.max(0, ...present.map((type) => type.size)), alignment);
  const joined = [];
  for (const type of present) {
    type.flat.forEach((flat, n) => {
      joined[n] = join(joined[n], flat);
    });
  }
  const readTag = (m, at) => (tagSize === 1 ? m.view().getUint8(at) : m.view().getUint16(at, true));
  const known = (tag) => {
    if (tag >= types.length) throw new TypeError('unknown case');
    return tag;
  };
  return {
    size,
    align: alignment,
    flat: ['i32', ...joined],
    load(m, at) {
      const tag = known(readTag(m, at));
      return make(tag, types[tag] ? types[tag].load(m, at + offset) : undefined);
    },
    store(m, at, value) {
      const [tag, content] = which(value);
      if (tagSize === 1) m.view().setUint8(at, tag);
      else m.view().setUint16(at, tag, true);
      if (types[tag]) types[tag].store(m, at + offset, content);
    },
    lift(m, flats) {
      const tag = known(flats.next().value >>> 0);
      const shared = joined.map(() => flats.next().value);
      const type = types[tag];
      if (!type) return make(tag, undefined);
      const own = type.flat.map((flat, n) => narrow(shared[n], joined[n], flat));
      return make(tag, type.lift(m, own.values()));
    },
    lower(m, value, out) {
      const [tag, content] = which(value);
      const own = [];
      if (types[tag]) types[tag].lower(m, content, own);
      out.push(tag);
      joined.forEach((flat, n) => {
        out.push(n < own.length ? widen(own[n], types[tag].flat[n], flat) : flat === 'i64' ? 0n : 0);
      });
    },
  };
};

const place = (names, name) => {
  const found = names.indexOf(name);
  if (found < 0) throw new TypeError('unknown case');
  return found;
};

export const variant = (members) => {
  const names = members.map(([name]) => name);
  return cases(
    members.map(([, type]) => type),
    (value) => [place(names, value.tag), value.val],
    (tag, val) => (val === undefined && members[tag][1] === null ? { tag: names[tag] } : { tag: names[tag], val }),
  );
};

export const enumeration = (names) =>
  cases(names.map(() => null), (value) => [place(names, value), undefined], (tag) => names[tag]);

export const option = (type) =>
  cases(
    [null, type],
    (value) => (value === undefined || value === null ? [0, undefined] : [1, value]),
    (tag, val) => (tag === 0 ? undefined : val),
  );

export const result = (ok, err) =>
  cases(
    [ok, err],
    (value) => [place(['ok', 'err'], value.tag), value.val],
    (tag, val) => ({ tag: tag === 0 ? 'ok' : 'err', val }),
  );

// ---- Functions.

// How a function's parameters and result are passed: as flat values up to a maximum number, otherwise through memory.
const shape = ({ params, result: type }) => {
  const all = tuple(params);
  return {
    all,
    type,
    inMemory: all.flat.length > MAXIMUM_FLAT_PARAMETERS,
    answersInMemory: type !== null && type.flat.length > MAXIMUM_FLAT_RESULTS,
  };
};

const exported = (memory, core, after, signature) => {
  const { all, type, inMemory, answersInMemory } = shape(signature);
  return (values) => {
    const flats = [];
    if (inMemory) {
      const at = memory.allocate(all.size, all.align);
      all.store(memory, at, values);
      flats.push(at);
    } else {
      all.lower(memory, values, flats);
    }
    const answer = core(...flats);
    const read = () => (answersInMemory ? type.load(memory, answer >>> 0) : type.lift(memory, [answer].values()));
    const value = type === null ? undefined : read();
    after?.(answer);
    return value;
  };
};

const imported = (memory, call, signature) => {
  const { all, type, inMemory, answersInMemory } = shape(signature);
  return (...flats) => {
    const values = inMemory ? all.load(memory, flats[0] >>> 0) : all.lift(memory, flats.values());
    const value = call(...values);
    if (type === null) return undefined;
    if (answersInMemory) {
      type.store(memory, flats[flats.length - 1] >>> 0, value);
      return undefined;
    }
    const answer = [];
    type.lower(memory, value, answer);
    return answer[0];
  };
};

/**
 * Instantiates a component's core module.
 *
 * `world` is the description in `types.js`; `imports` has a function for each import, by its interface and name in WIT.
 * Returns the memory and `exports`, a Map from `interface#function` to a function that takes the list of arguments.
 */
export const instantiate = (module, world, imports) => {
  let core;
  let bytes = new Uint8Array();
  let view = new DataView(bytes.buffer);
  const look = () => {
    // The views are created on first use, and again after the memory has grown.
    if (bytes.buffer !== core.memory.buffer || bytes.length === 0) {
      bytes = new Uint8Array(core.memory.buffer);
      view = new DataView(core.memory.buffer);
    }
  };
  const memory = {
    bytes: () => (look(), bytes),
    view: () => (look(), view),
    allocate: (size, to) => core.cabi_realloc(0, 0, to, size) >>> 0,
  };
  const given = {};
  for (const [name, functions] of Object.entries(world.imports)) {
    given[name] = {};
    for (const [fn, signature] of Object.entries(functions)) {
      given[name][fn] = imported(memory, imports[name][fn], signature);
    }
  }
  core = new WebAssembly.Instance(module, given).exports;
  const exports = new Map();
  for (const [name, functions] of Object.entries(world.exports)) {
    for (const [fn, signature] of Object.entries(functions)) {
      const key = `${name}#${fn}`;
      exports.set(key, exported(memory, core[key], core[`cabi_post_${key}`], signature));
    }
  }
  return { exports, memory: core.memory };
};
