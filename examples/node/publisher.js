// publisher.js CHANNEL MESSAGE... - publish messages in order, and say how many subscribers each one reached.
const { createClient } = require('redis');

async function main() {
  const [channel = 'news', ...messages] = process.argv.slice(2);
  const client = createClient({ url: process.env.REDIS_URL || 'redis://127.0.0.1:6379' });
  client.on('error', (error) => console.error(error.message));
  await client.connect();

  for (const message of messages.length > 0 ? messages : ['hello']) {
    const count = await client.publish(channel, message);
    console.log(`${message} reached ${count}`);
  }
  await client.close();
}

main();
