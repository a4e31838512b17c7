/** On every answer. Nothing here is to be kept, shown in a frame, guessed at or told to another site. */
export const securityHeaders = {
  "cache-control": "no-store",
  "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
} as const;

/** Where the server speaks TLS, besides: a year of never again without (RFC 6797). */
export const tlsHeaders = { ...securityHeaders, "strict-transport-security": "max-age=31536000" } as const;
