// Starts `wrangler dev` in a directory that has a `wrangler.toml`, as a user does.

import { spawn } from 'node:child_process';
import path from 'node:path';

const READY = /Ready on (http:\/\/\S+)/;

/** `directory` is what `cargo xtask edge` makes; `tools` is where npm has installed wrangler. */
export const startWrangler = async ({ directory, tools }) => {
  const program = path.join(tools, 'node_modules/wrangler/wrangler-dist/cli.js');
  // Not in the directory itself: wrangler starts anew when a file of it changes.
  const home = path.dirname(directory);
  const options = ['dev', '--ip', '127.0.0.1', '--port', '0', '--inspector-port', '0', '--show-interactive-dev-session', 'false'];
  const child = spawn(process.execPath, ['--no-warnings', program, ...options], {
    cwd: directory,
    // With a group of its own, so that workerd ends with it.
    detached: true,
    stdio: ['ignore', 'pipe', 'inherit'],
    // It keeps its own files at home, and reports its use unless it is forbidden.
    env: { ...process.env, HOME: home, XDG_CONFIG_HOME: home, WRANGLER_SEND_METRICS: 'false', CI: '1' },
  });
  const ended = new Promise((resolve) => {
    child.on('exit', resolve);
  });
  const address = await new Promise((resolve, reject) => {
    let output = '';
    child.stdout.on('data', (part) => {
      process.stderr.write(part);
      output += part;
      const ready = READY.exec(output);
      if (ready) resolve(ready[1]);
    });
    ended.then(() => reject(new Error('wrangler has ended')));
  });
  const dispose = async () => {
    process.kill(-child.pid, 'SIGTERM');
    await ended;
  };
  return { address, dispose };
};
