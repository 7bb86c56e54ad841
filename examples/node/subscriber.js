// subscriber.js [CHANNEL]... - print what is published on channels; `news` unless others are named.
const { createClient } = require('redis');

async function main() {
  const channels = process.argv.length > 2 ? process.argv.slice(2) : ['news'];
  const client = createClient({ url: process.env.REDIS_URL || 'redis://127.0.0.1:6379' });
  client.on('error', (error) => console.error(error.message));
  await client.connect();

  await client.subscribe(channels, (message, channel) => console.log(`${channel}: ${message}`));
  console.log(`listening on ${channels.join(', ')}`);

  process.on('SIGINT', async () => {
    await client.unsubscribe();
    await client.close();
  });
}

main();
