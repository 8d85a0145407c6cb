// A program that does what it is told: one command on each line of its input, one answer on each line of its output,
// both JSON. An error is answered by the code that OAuth or the library has for it.

import { createInterface } from 'node:readline'
import { webcrypto } from 'node:crypto'

globalThis.crypto ??= webcrypto // Node 18 has it in a module only
globalThis.CryptoKey ??= webcrypto.CryptoKey

export async function obey(commands) {
  for await (const line of createInterface({ input: process.stdin })) {
    const { name, ...options } = JSON.parse(line)
    let answer
    try {
      answer = { result: (await commands[name](options)) ?? null }
    } catch (error) {
      answer = { error: await findCode(error), message: error.message }
    }
    process.stdout.write(JSON.stringify(answer) + '\n')
  }
}

async function findCode(error) {
  if (error.error) return error.error
  if (error.code !== 'OAUTH_WWW_AUTHENTICATE_CHALLENGE') return error.code ?? error.name
  const [challenge] = error.cause // of a resource; an answer to the client itself says more in its body
  return challenge.parameters.error ?? (await error.response.json()).error
}
