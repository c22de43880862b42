// An OpenID provider on loopback that issues access tokens (JWT) to jobs by client credentials: what a CI's issuer does.
// provider.mjs MODULES JOBS: JOBS is JSON, {name: {claim: value…}}. Says its address on a line of its own when it listens.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import { pathToFileURL } from 'node:url';

const [modules, jobs] = [process.argv[2], JSON.parse(process.argv[3])];
const { default: Provider } = await import(pathToFileURL(`${modules}/oidc-provider/lib/index.js`));

function key(kid, alg, type, options) {
  return { ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), kid, alg, use: 'sig' };
}

const server = createServer().listen(0, '127.0.0.1', () => {
  const url = `http://127.0.0.1:${server.address().port}`;
  const provider = new Provider(url, {
    jwks: { keys: [key('rsa', 'RS256', 'rsa', { modulusLength: 2048 }), key('ec', 'ES256', 'ec', { namedCurve: 'P-256' })] },
    clients: Object.keys(jobs).map((name) => ({
      client_id: name, client_secret: 'of-the-job', grant_types: ['client_credentials'], redirect_uris: [], response_types: [],
    })),
    extraTokenClaims: (context, token) => jobs[token.clientId],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      // urn:AUDIENCE:ALGORITHM:SECONDS
      resourceIndicators: {
        enabled: true,
        defaultResource: () => undefined,
        getResourceServerInfo: (context, resource) => {
          const [, audience, alg, seconds] = resource.split(':');
          return { scope: '', audience, accessTokenTTL: Number(seconds), accessTokenFormat: 'jwt', jwt: { sign: { alg } } };
        },
      },
    },
  });
  server.on('request', provider.callback());
  console.log(url);
});
