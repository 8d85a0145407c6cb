// The client of the MCP SDK, as a program that people use: it opens a page for them, and goes on with what comes back.

import { obey } from './lines.mjs'

const { Client } = await import('@modelcontextprotocol/sdk/client/index.js')
const { StreamableHTTPClientTransport } = await import('@modelcontextprotocol/sdk/client/streamableHttp.js')
const { UnauthorizedError } = await import('@modelcontextprotocol/sdk/client/auth.js')

const kept = {}

const provider = {
  redirectUrl: 'http://localhost:49734/callback',
  clientMetadata: {
    client_name: 'Assistant in TypeScript',
    redirect_uris: ['http://localhost:49734/callback'],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  },
  state: () => 'a state of the client',
  clientInformation: () => kept.client,
  saveClientInformation: (client) => void (kept.client = client),
  tokens: () => kept.tokens,
  saveTokens: (tokens) => void (kept.tokens = tokens),
  redirectToAuthorization: (url) => void (kept.page = url.href),
  saveCodeVerifier: (verifier) => void (kept.verifier = verifier),
  codeVerifier: () => kept.verifier,
}

let client, transport, server

// What `use` returns, or the page that somebody has to see first.
async function orPage(use) {
  try {
    return { result: await use() }
  } catch (error) {
    if (!(error instanceof UnauthorizedError)) throw error
    return { page: kept.page }
  }
}

async function connect() {
  transport = new StreamableHTTPClientTransport(server, { authProvider: provider })
  client = new Client({ name: 'tests', version: '1' })
  await client.connect(transport)
  return client.getServerVersion().name
}

await obey({
  connect({ url }) {
    server = new URL(url)
    return orPage(connect)
  },

  async finish({ code }) {
    await transport.finishAuth(code)
    return orPage(connect)
  },

  call({ tool, ...args }) {
    return orPage(async () => (await client.callTool({ name: tool, arguments: args })).content[0].text)
  },

  // What a program does that wants to ask people for more scope: the SDK would refresh in place of that.
  forget_refresh_token() {
    delete kept.tokens.refresh_token
  },

  spoil_access_token() {
    kept.tokens = { ...kept.tokens, access_token: 'expired' }
  },

  kept: () => kept,
})
