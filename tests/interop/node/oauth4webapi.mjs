// oauth4webapi, where each request and each check of its answer is a step of the client's own.

import { readFileSync } from 'node:fs'
import { request } from 'node:https'
import { obey } from './lines.mjs'

const oauth = await import('oauth4webapi') // after lines.mjs, which it needs on old versions of Node

const options = { [oauth.allowInsecureRequests]: true } // the server is on a loopback address
const state = 'a state of the client'
let server, client, authentication, redirectUri, verifier, dpop

// Sends a request with a client certificate, which the fetch() of Node cannot do.
function fetchWith(files) {
  const certificate = { cert: readFileSync(files.cert), key: readFileSync(files.key) }
  return (url, { method, headers, body }) => new Promise((resolve, reject) => {
    if (!url.startsWith('https:')) return resolve(fetch(url, { method, headers, body }))
    const sent = request(url, { method, headers: Object.fromEntries(new Headers(headers)), ...certificate }, async (answer) => {
      const parts = await answer.toArray()
      resolve(new Response(Buffer.concat(parts), { status: answer.statusCode, headers: answer.headers }))
    })
    sent.on('error', reject)
    sent.end(body?.toString())
  })
}

// Sends a request once more, with the nonce of the server, if the server needs one.
async function withNonce(request) {
  try {
    return await request()
  } catch (error) {
    if (!dpop || !oauth.isDPoPNonceError(error)) throw error
    return request()
  }
}

await obey({
  async discover({ issuer, client_id, secret, method = 'ClientSecretBasic', proves = false, certificate }) {
    const url = new URL(issuer)
    const response = await oauth.discoveryRequest(url, { ...options, algorithm: 'oauth2' })
    server = await oauth.processDiscoveryResponse(url, response)
    client = { client_id }
    authentication = secret ? oauth[method](secret) : oauth.None()
    if (certificate) {
      client.use_mtls_endpoint_aliases = true
      authentication = oauth.TlsClientAuth()
      options[oauth.customFetch] = fetchWith(certificate)
    }
    dpop = proves ? oauth.DPoP(client, await oauth.generateKeyPair('ES256')) : undefined
    options.DPoP = dpop
    return server
  },

  async change_key() {
    dpop = options.DPoP = oauth.DPoP(client, await oauth.generateKeyPair('ES256'))
  },

  async authorize({ redirect_uri, scope }) {
    redirectUri = redirect_uri
    verifier = oauth.generateRandomCodeVerifier()
    const url = new URL(server.authorization_endpoint)
    const parameters = {
      response_type: 'code',
      client_id: client.client_id,
      redirect_uri,
      scope,
      state,
      code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      ...(dpop ? { dpop_jkt: await dpop.calculateThumbprint() } : {}),
    }
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
    return url.href
  },

  async redeem({ answer, other_verifier = verifier }) {
    const parameters = oauth.validateAuthResponse(server, client, new URL(answer), state)
    return withNonce(async () => {
      const response = await oauth.authorizationCodeGrantRequest(
        server, client, authentication, parameters, redirectUri, other_verifier, options)
      return oauth.processAuthorizationCodeResponse(server, client, response)
    })
  },

  async refresh({ token, scope }) {
    return withNonce(async () => {
      const response = await oauth.refreshTokenGrantRequest(
        server, client, authentication, token, { ...options, additionalParameters: scope ? { scope } : {} })
      return oauth.processRefreshTokenResponse(server, client, response)
    })
  },

  async client_credentials({ scope }) {
    const response = await oauth.clientCredentialsGrantRequest(server, client, authentication, { scope }, options)
    return oauth.processClientCredentialsResponse(server, client, response)
  },

  async start_device({ scope }) {
    const response = await oauth.deviceAuthorizationRequest(server, client, authentication, { scope }, options)
    return oauth.processDeviceAuthorizationResponse(server, client, response)
  },

  async poll_device({ codes }) {
    const response = await oauth.deviceCodeGrantRequest(server, client, authentication, codes.device_code, options)
    return oauth.processDeviceCodeResponse(server, client, response)
  },

  async revoke({ token }) {
    const response = await oauth.revocationRequest(server, client, authentication, token, options)
    return oauth.processRevocationResponse(response)
  },

  async introspect({ token }) {
    const response = await oauth.introspectionRequest(server, client, authentication, token, options)
    return oauth.processIntrospectionResponse(server, client, response)
  },

  async call({ url, token }) {
    return withNonce(async () => {
      const response = await oauth.protectedResourceRequest(token, 'GET', new URL(url), undefined, null, options)
      return response.json()
    })
  },
})
