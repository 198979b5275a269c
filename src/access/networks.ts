import { BlockList, isIP } from 'node:net'

/** An address, or a range in CIDR notation (RFC 4632, RFC 4291 section 2.3). */
export function isNetwork(text: string): boolean {
  const { address, prefix } = parseNetwork(text)
  const bits = isIP(address) === 4 ? 32 : isIP(address) === 6 ? 128 : 0
  return bits > 0 && /^\d{1,3}$/.test(prefix ?? '0') && Number(prefix ?? 0) <= bits
}

/** Whether an address is in one of the networks. An IPv4 address also matches in its IPv6 form. */
export function isInNetworks(ip: string, networks: readonly string[]): boolean {
  const list = new BlockList()
  for (const network of networks) {
    const { address, prefix } = parseNetwork(network)
    const family = getFamily(address)
    if (prefix === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(prefix), family)
  }
  return isIP(ip) !== 0 && list.check(ip, getFamily(ip))
}

function parseNetwork(text: string): { address: string; prefix: string | undefined } {
  const [address = '', prefix, ...rest] = text.split('/')
  return { address: rest.length === 0 ? address : '', prefix }
}

function getFamily(ip: string): 'ipv4' | 'ipv6' {
  return isIP(ip) === 6 ? 'ipv6' : 'ipv4'
}
