'use strict';
// Node's EventEmitter and EventEmitter2 with wildcards. Answers as bench/kit/measure.h says.
// Argument: `events` or `eventemitter2`.
const readline = require('readline');
const which = process.argv[2];
const sums = new Array(16).fill(0);

function emitter(handlers, wild) {
  let e;
  if (which === 'events') {
    e = new (require('events').EventEmitter)();
  } else {
    e = new (require('eventemitter2').EventEmitter2)({ wildcard: true, maxListeners: 0 });
  }
  for (let k = 0; k < handlers; k++) e.on(wild ? 'user.*' : 'user.login', (value) => { sums[k] += value; });
  return (count) => {
    const from = process.hrtime.bigint();
    for (let i = 0; i < count; i++) e.emit('user.login', i);
    return Number(process.hrtime.bigint() - from) / 1e9;
  };
}

const cases = which === 'events'
  ? { 'emit.1': emitter(1, false), 'emit.10': emitter(10, false) }
  : { 'emit.wild.1': emitter(1, true), 'emit.wild.10': emitter(10, true) };
const counts = {};

function measure(name, ms) {
  const run = cases[name];
  if (!run) return console.log(`${name} none 0`);
  const seconds = ms / 1000;
  if (!counts[name + ms]) {
    let count = 1000, took;
    while ((took = run(count)) < seconds / 4) count *= 4; // the compiler warms up here
    took = run(count);
    counts[name + ms] = Math.max(1000, Math.floor((count * seconds) / took));
  }
  console.log(`${name} 1/s ${counts[name + ms] / run(counts[name + ms])}`);
}

if (process.argv.length === 5) measure(process.argv[3], Number(process.argv[4]));
else readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const [name, ms] = line.split(' ');
  if (ms) measure(name, Number(ms));
});
