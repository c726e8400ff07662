/** The one function of proxy-from-env that is used; the package brings no types. */
declare module 'proxy-from-env' {
  /** URL of the proxy that the environment names for `url`; empty: none. */
  export function getProxyForUrl(url: string): string;
}
