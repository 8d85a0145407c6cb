// openid-client, which does all steps of a grant in one call.

import { obey } from './lines.mjs'

const openid = await import('openid-client') // after lines.mjs, which it needs on old versions of Node

const state = 'a state of the client'
let config, verifier, dpop

const options = () => (dpop ? { DPoP: dpop } : {})

await obey({
  async discover({ issuer, client_id, secret, method = 'ClientSecretBasic', proves = false }) {
    const authentication = secret ? openid[method](secret) : openid.None()
    config = await openid.discovery(new URL(issuer), client_id, undefined, authentication, {
      algorithm: 'oauth2',
      execute: [openid.allowInsecureRequests], // the server is on a loopback address
    })
    dpop = proves ? openid.getDPoPHandle(config, await openid.randomDPoPKeyPair()) : undefined
    return config.serverMetadata()
  },

  async register({ issuer, metadata, token, method = 'None' }) {
    config = await openid.dynamicClientRegistration(new URL(issuer), metadata, openid[method](), {
      algorithm: 'oauth2',
      execute: [openid.allowInsecureRequests],
      ...(token ? { initialAccessToken: token } : {}),
    })
    return config.clientMetadata()
  },

  async change_key() {
    dpop = openid.getDPoPHandle(config, await openid.randomDPoPKeyPair())
  },

  async authorize({ redirect_uri, scope }) {
    verifier = openid.randomPKCECodeVerifier()
    return openid.buildAuthorizationUrl(config, {
      redirect_uri,
      scope,
      state,
      code_challenge: await openid.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      ...(dpop ? { dpop_jkt: await dpop.calculateThumbprint() } : {}),
    }).href
  },

  redeem({ answer, other_verifier = verifier }) {
    const checks = { pkceCodeVerifier: other_verifier, expectedState: state }
    return openid.authorizationCodeGrant(config, new URL(answer), checks, undefined, options())
  },

  refresh({ token, scope }) {
    return openid.refreshTokenGrant(config, token, scope ? { scope } : {}, options())
  },

  client_credentials({ scope }) {
    return openid.clientCredentialsGrant(config, { scope })
  },

  start_device({ scope }) {
    return openid.initiateDeviceAuthorization(config, { scope })
  },

  poll_device({ codes }) {
    return openid.pollDeviceAuthorizationGrant(config, codes)
  },

  revoke({ token }) {
    return openid.tokenRevocation(config, token)
  },

  introspect({ token }) {
    return openid.tokenIntrospection(config, token)
  },

  async call({ url, token }) {
    const response = await openid.fetchProtectedResource(config, token, new URL(url), 'GET', undefined, undefined, options())
    return response.json()
  },
})
