'use strict';
// node_test.js - npm's `redis` against the server at $REDIS_PORT; 77 when the package is not here.
let redis;
try { redis = require('redis'); } catch { process.exit(77); }
const assert = require('assert');
const url = `redis://127.0.0.1:${process.env.REDIS_PORT}`;

async function open(options = {}) {
  const client = redis.createClient({ url, ...options });
  client.on('error', (error) => { throw error; });
  await client.connect();
  return client;
}

async function messagesComeInOrder(RESP) {
  const subscriber = await open({ RESP }), publisher = await open({ RESP });
  const got = [];
  let last;
  const all = new Promise((resolve) => { last = resolve; });
  await subscriber.subscribe('order', (message) => { if (got.push(+message) === 1000) last(); });
  await subscriber.pSubscribe('patt*', (message, channel) => got.push([channel, message]));
  assert.strictEqual(await publisher.publish('pattern', 'p'), 1);
  await Promise.all(Array.from({ length: 1000 }, (_, i) => publisher.publish('order', String(i))));
  await all;
  const first = got.findIndex(Array.isArray);
  assert.deepStrictEqual(got.splice(first, 1)[0], ['pattern', 'p']);
  if (got.length < 1000) got.push(999);
  assert.deepStrictEqual(got, Array.from({ length: got.length }, (_, i) => i));
  await subscriber.unsubscribe('order');
  assert.strictEqual(await publisher.publish('order', 'x'), 0);
  await subscriber.close();
  await publisher.close();
}

async function oneConnectionDoesBothInResp3() {
  const client = await open({ RESP: 3 });
  const heard = new Promise((resolve) => client.subscribe('both', resolve));
  await client.ping();
  assert.strictEqual(await client.publish('both', 'self'), 1);
  assert.strictEqual(await heard, 'self');
  assert.match(await client.info(), /redis_version:7/);
  await client.close();
}

async function transactionsPublish() {
  const client = await open();
  assert.deepStrictEqual(await client.multi().publish('none', 'x').ping().exec(), [0, 'PONG']);
  await client.close();
}

(async () => {
  for (const RESP of [2, 3]) await messagesComeInOrder(RESP);
  await oneConnectionDoesBothInResp3();
  await transactionsPublish();
  process.exit(0);
})().catch((error) => { console.error(error); process.exit(1); });
