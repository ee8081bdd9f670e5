// A bundle through @sigstore/verify. usage: verify.mjs NODE_FOLDER version | NODE_FOLDER KEY AUTHORITY_FOLDER BUNDLE
import { createPublicKey, X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const [folder, ...args] = process.argv.slice(2);
const require = createRequire(`${folder}/package.json`);
if (args[0] === 'version') {
  console.log(`@sigstore/verify ${require('@sigstore/verify/package.json').version}`);
  process.exit(0);
}
const { bundleFromJSON } = require('@sigstore/bundle');
const { X509Certificate: Certificate } = require('@sigstore/core');
const { toSignedEntity, Verifier } = require('@sigstore/verify');

const [keyFile, authority, bundleFile] = args;
const key = createPublicKey(readFileSync(keyFile));
const certificate = (name) => Certificate.parse(new X509Certificate(readFileSync(`${authority}/${name}`)).raw);
const always = { start: new Date(0), end: new Date(8.64e15) };
const trustMaterial = {
  certificateAuthorities: [],
  timestampAuthorities: [{ certChain: [certificate('tsa.pem'), certificate('root.pem')], validFor: always }],
  tlogs: [],
  ctlogs: [],
  publicKey: () => ({ publicKey: key, validFor: () => true }),
};
const verifier = new Verifier(trustMaterial, { tlogThreshold: 0, ctlogThreshold: 0, tsaThreshold: 1 });
try {
  verifier.verify(toSignedEntity(bundleFromJSON(JSON.parse(readFileSync(bundleFile, 'utf8')))));
  console.log('OK, signature and timestamp');
} catch (error) {
  console.error(error.code, error.message);
  process.exit(1);
}
