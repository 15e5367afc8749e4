// Debian packages, unpacked into a folder of the project: no installation, no root. Plain JavaScript, no dependencies.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { spawnSync } from 'node:child_process';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

function runQuietly(command, args, cwd) {
  const env = { ...process.env, LC_ALL: 'C' };
  const child = spawnSync(command, args, { cwd, env, encoding: 'utf8', timeout: 600_000 });
  const error = (child.stderr ?? '') + (child.error?.message ?? '');
  return { ok: child.status === 0, output: child.stdout ?? '', error };
}

/** Options that keep apt's lists and caches inside the project, so that it needs no root. */
function privateOptions(apt, backports) {
  for (const path of ['lists/partial', 'cache/archives/partial']) mkdirSync(join(apt, path), { recursive: true });
  const options = [`-oDir::State::Lists=${join(apt, 'lists')}`, `-oDir::Cache=${join(apt, 'cache')}`];
  if (backports !== undefined) {
    const { mirror, release } = backports;
    const list = join(apt, 'sources.list');
    const signed = '[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]';
    writeFileSync(list, [release, `${release}-backports`].map((suite) => `deb ${signed} ${mirror} ${suite} main\n`).join(''));
    options.push(`-oDir::Etc::sourcelist=${list}`, '-oDir::Etc::sourceparts=/dev/null', `-oAPT::Default-Release=${release}-backports`);
  }
  return options;
}

/** Debian's release and mirror as the system has them; `undefined` where it is no Debian, or one without backports of its own. */
export function debianRelease() {
  const read = (path) => (existsSync(path) ? readFileSync(path, 'utf8') : '');
  const system = read('/etc/os-release');
  const release = /^VERSION_CODENAME=(\w+)/m.exec(system)?.[1];
  if (!/^ID=debian$/m.test(system) || release === undefined) return undefined;
  const sources = read('/etc/apt/sources.list') + read('/etc/apt/sources.list.d/debian.sources');
  const mirror = /(?:^deb (?:\[[^\]]*\] )?|^URIs: )(\S+\/debian)\/?(?:\s|$)/m.exec(sources)?.[1] ?? 'http://deb.debian.org/debian';
  return { release, mirror };
}

/** The packages that `names` need and the system lacks, as name=version; `undefined` if apt cannot tell. */
function missingPackages(options, names) {
  // A simulation: it changes nothing and needs no root.
  const simulation = ['-s', '--no-install-recommends', '--no-upgrade', 'install'];
  const { ok, output } = runQuietly('apt-get', [...options, ...simulation, ...names]);
  if (!ok) return undefined;
  return [...output.matchAll(/^Inst (\S+) (?:\[[^\]]*\] )?\((\S+)/gm)].map((match) => `${match[1]}=${match[2]}`);
}

/** The packages that `names` depend on, installed or not, above libc: for a folder that stands without the system's. */
function allPackages(options, names) {
  const below = /^(libc6|libgcc-s1|gcc-\d+-base|libstdc\+\+6|libcrypt1|debconf|dpkg|debconf-2\.0)$/;
  const { ok, output } = runQuietly('apt-cache', [
    ...options, 'depends', '--recurse', '--no-recommends', '--no-suggests', '--no-conflicts', '--no-breaks',
    '--no-replaces', '--no-enhances', ...names,
  ]);
  if (!ok) return undefined;
  const found = output.split('\n').filter((line) => /^[a-z0-9]/.test(line)).map((line) => line.split(':')[0].trim());
  return [...new Set(found)].filter((name) => !below.test(name));
}

function firstLine(text) {
  return text.split('\n').find((line) => line.startsWith('E:')) ?? text.trim().split('\n')[0] ?? '';
}

/**
 * Downloads Debian packages with those that they need and the system lacks, unpacks them into `folder`, and prints the
 * commands. A file named `complete` in it is written last.
 *
 * @param {object} request
 * @param {string[]} request.packages names of the packages
 * @param {string} request.folder where to unpack
 * @param {string} request.purpose what for, in words: printed
 * @param {boolean} [request.all] also those that the system has, save libc's own
 * @param {{ release: string, mirror: string }} [request.backports] take them from this release's backports (`debianRelease`)
 * @returns {string | undefined} why not, with what to do; `undefined` when done
 */
export function unpackPackages({ packages, folder, purpose, all = false, backports }) {
  const byHand = `install them (apt-get install ${packages.join(' ')})`;
  if (process.env.FOVEA_NO_DOWNLOAD === '1') {
    return `${purpose} is missing and FOVEA_NO_DOWNLOAD=1 forbids fetching it: unset it, or ${byHand}`;
  }
  if (!runQuietly('apt-get', ['--version']).ok || !runQuietly('dpkg', ['--version']).ok) {
    return `${purpose} is missing, and without apt-get and dpkg it cannot be fetched: install Mesa or Chromium ` +
      `with your system's package manager (Debian's names: ${packages.join(' ')})`;
  }
  const apt = join(root, '.cache', backports === undefined ? 'apt' : 'apt-backports');
  const debs = `${folder}.debs`;
  const show = (path) => relative(root, path) || '.';
  // As root apt would drop to another user, who may not write here.
  const sandbox = '-oAPT::Sandbox::User=root';
  let problem = 'apt-get knows no such packages';
  console.log(`Fetching ${purpose} into ${show(folder)} (nothing is installed on the system):`);
  // The second time with fresh lists. Where the system's own packages are at odds, apt refuses to simulate: then all.
  // The system's lists know no backports.
  for (const update of backports === undefined ? [false, true] : [true]) {
    const options = update ? privateOptions(apt, backports) : [];
    if (update) {
      console.log(`  apt-get ${options.map((option) => option.replace(`${root}/`, '')).join(' ')} update`);
      const updated = runQuietly('apt-get', [...options, sandbox, '-q', 'update'], root);
      if (!updated.ok) problem = firstLine(updated.error);
    }
    const missing = all ? undefined : missingPackages(options, packages);
    const wanted = missing ?? (all || update ? allPackages(options, packages) : undefined);
    if (wanted === undefined) continue;
    // The simulation names nothing where the system has it all; the folder then holds the packages asked for.
    const names = wanted.length > 0 ? wanted : packages;
    rmSync(debs, { recursive: true, force: true });
    mkdirSync(debs, { recursive: true });
    console.log(`  cd ${show(debs)} && apt-get download ${names.join(' ')}`);
    const download = runQuietly('apt-get', [...options, sandbox, '-q', 'download', ...names], debs);
    if (!download.ok) {
      problem = firstLine(download.error);
      continue;
    }
    const partial = `${folder}.partial`;
    rmSync(partial, { recursive: true, force: true });
    mkdirSync(partial, { recursive: true });
    console.log(`  for f in ${show(debs)}/*.deb; do dpkg -x $f ${show(folder)}; done`);
    for (const file of readdirSync(debs).filter((name) => name.endsWith('.deb'))) {
      const unpack = runQuietly('dpkg', ['-x', join(debs, file), partial], root);
      if (!unpack.ok) return `dpkg -x ${file}: ${firstLine(unpack.error)}`;
    }
    writeFileSync(join(partial, 'complete'), `${names.join('\n')}\n`);
    if (existsSync(folder)) rmSync(folder, { recursive: true, force: true });
    renameSync(partial, folder);
    rmSync(debs, { recursive: true, force: true });
    return undefined;
  }
  rmSync(debs, { recursive: true, force: true });
  return `${purpose} is missing and could not be fetched (${problem}): ${byHand}`;
}
