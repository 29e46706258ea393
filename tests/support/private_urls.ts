/** URLs that lead to private addresses, in every notation that a parser may take for one. */

/** First address and prefix length of the ranges that are not the internet's (RFC 6890 and its updates). */
export const PRIVATE_IPV4: readonly (readonly [first: number, bits: number])[] = [
  ...[["0.0.0.0", 8], ["10.0.0.0", 8], ["100.64.0.0", 10], ["127.0.0.0", 8]] as const,
  ...[["169.254.0.0", 16], ["172.16.0.0", 12], ["192.0.0.0", 24], ["192.0.2.0", 24]] as const,
  ...[["192.168.0.0", 16], ["198.18.0.0", 15], ["198.51.100.0", 24]] as const,
  ...[["203.0.113.0", 24], ["224.0.0.0", 4], ["240.0.0.0", 4]] as const,
].map(([address, bits]) => [numberOf(address), bits]);

export const PRIVATE_IPV6: readonly string[] = [
  ...["::", "::1", "::7f00:1", "fc00::1", "fd00::2", "fd12:3456:789a::1", "fe80::1", "febf::1"],
  ...["fec0::1", "ff02::1", "ff0e::1", "2001:db8::1", "2001::1", "2002:7f00:1::", "2002:a00:1::1"],
  ...["64:ff9b::7f00:1", "64:ff9b::a00:1", "64:ff9b:1::1", "100::1", "::ffff:127.0.0.1"],
  ...["::ffff:10.0.0.1", "::ffff:a9fe:a9fe", "::ffff:0:127.0.0.1", "::127.0.0.1", "3fff::1"],
];

/** What a canary on this machine, its network or its cloud would be reached by. */
const TARGETS = [
  ...["127.0.0.1", "127.0.0.2", "127.1.2.3", "127.255.255.254", "0.0.0.0", "10.0.0.1"],
  ...["172.16.0.1", "192.168.1.1", "169.254.169.254", "169.254.170.2", "100.64.0.1"],
];

/** Each is a URL of its own; the host is private in all of them. */
export function privateForms(port: number): string[] {
  const hosts = [
    ...TARGETS.flatMap(spellings),
    ...PRIVATE_IPV6.map((address) => `[${address}]`),
    ...["localhost", "LOCALHOST", "localhost.", "a.localhost", "ip6-localhost", "metadata"],
    ...["metadata.google.internal", "instance-data", "kubernetes.default.svc.internal"],
    ...["_api.internal", "router.lan", "nas.home.arpa", "host.docker.internal", "db.corp"],
    ...[
      "ｌｏｃａｌｈｏｓｔ",
      "ⓛⓞⓒⓐⓛⓗⓞⓢⓣ",
      "１２７.０.０.１",
      "①②⑦.⓪.⓪.①",
      "127。0。0。1",
      "127．0．0．1",
    ],
  ];
  return hosts.flatMap((host) => [
    `https://${host}:${port}/`,
    `http://${host}:${port}/latest/meta-data/`,
  ]);
}

/** The same address as number, octal, hexadecimal, short, mapped and padded. */
function spellings(address: string): string[] {
  const parts = address.split(".").map(Number);
  const [a = 0, b = 0, c = 0, d = 0] = parts;
  const number = numberOf(address);
  const hex = (value: number): string => `0x${value.toString(16)}`;
  const octal = (value: number): string => `0${value.toString(8)}`;
  return [
    address,
    `${address}.`,
    String(number),
    hex(number),
    hex(number).toUpperCase().replace("0X", "0x"),
    octal(number),
    parts.map(octal).join("."),
    parts.map(hex).join("."),
    parts.map((part) => `000${octal(part)}`).join("."),
    `${a}.${(b << 16 | c << 8 | d) >>> 0}`,
    `${a}.${b}.${c << 8 | d}`,
    `${hex(a)}.${octal(b)}.${c}.${d}`,
    encodeURIComponent(address).replaceAll(".", "%2e"),
    `[::ffff:${address}]`,
    `[0:0:0:0:0:ffff:${address}]`,
    `[64:ff9b::${address}]`,
  ];
}

function numberOf(address: string): number {
  return address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
}
