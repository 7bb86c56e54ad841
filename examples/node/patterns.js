// patterns.js - one connection that subscribes by pattern, another that publishes; it ends by itself.
const { createClient } = require('redis');

async function main() {
  const subscriber = createClient({ url: process.env.REDIS_URL || 'redis://127.0.0.1:6379' });
  subscriber.on('error', (error) => console.error(error.message));
  await subscriber.connect();

  // A connection with subscriptions only listens, so publishing takes one of its own.
  const publisher = subscriber.duplicate();
  publisher.on('error', (error) => console.error(error.message));
  await publisher.connect();

  await subscriber.pSubscribe('weather.*', (message, channel) => console.log(`${channel}: ${message}`));

  await publisher.publish('weather.oslo', 'snow');
  await publisher.publish('traffic.oslo', 'slow'); // matches nothing
  await publisher.publish('weather.rome', 'sun');

  await subscriber.pUnsubscribe('weather.*');
  const count = await publisher.publish('weather.rome', 'rain');
  console.log(`after pUnsubscribe: ${count} receivers`);

  await subscriber.close();
  await publisher.close();
}

main();
