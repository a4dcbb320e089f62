// Reads LL-HLS as a plain HTTP client would. Knows just enough of playlists for the tests.

import { until } from "./wait.mjs";

/** The multivariant playlist's media playlists: `{video, audio}` URLs. */
export async function renditions(base, room, { seconds = 20 } = {}) {
  const index = new URL(`/live/${room}/index.m3u8`, base);
  const text = await until(`${room} is listed`, async () => {
    const response = await fetch(index);
    return response.ok ? response.text() : false;
  }, { seconds });
  const video = text.match(/^#EXT-X-STREAM-INF[^\n]*\n([^#\n]+)/m)?.[1];
  const audio = text.match(/TYPE=AUDIO[^\n]*URI="([^"]+)"/)?.[1];
  const absolute = (path) => path && new URL(path, index).href;
  return { index: index.href, text, video: absolute(video), audio: absolute(audio) };
}

/** Fetches and reads a media playlist; `query` holds directives. */
export async function playlist(url, query = "") {
  const response = await fetch(url + query);
  const text = await response.text();
  if (!response.ok) throw new Error(`${url}${query}: ${response.status} ${text}`);
  return { url, response, ...parse(text, url) };
}

/** The facts of a media playlist that the tests ask for. */
export function parse(text, url) {
  const number = (tag) => Number(text.match(new RegExp(`^#${tag}:(\\d+)`, "m"))?.[1] ?? 0);
  const first = number("EXT-X-MEDIA-SEQUENCE");
  const absolute = (path) => new URL(path, url).href;
  const segments = [...text.matchAll(/^#EXTINF:([\d.]+)[^\n]*\n(?:#[^\n]*\n)*([^#\n]+)/gm)].map(
    ([, seconds, path], i) => ({ msn: first + i, seconds: Number(seconds), url: absolute(path) }),
  );
  const parts = [...text.matchAll(/^#EXT-X-PART:([^\n]+)/gm)].map(([, attributes]) => ({
    url: absolute(attributes.match(/URI="([^"]+)"/)[1]),
    gap: attributes.includes("GAP=YES"),
  }));
  return {
    text,
    first,
    segments,
    parts,
    last: first + segments.length - 1,
    maps: [...text.matchAll(/^#EXT-X-MAP:URI="([^"]+)"/gm)].map(([, path]) => absolute(path)),
    discontinuities: (text.match(/^#EXT-X-DISCONTINUITY$/gm) ?? []).length,
    discontinuitySequence: number("EXT-X-DISCONTINUITY-SEQUENCE"),
    ended: /^#EXT-X-ENDLIST$/m.test(text),
  };
}

/** The playlist as soon as segment `msn` is complete: a blocking reload. */
export function playlistOf(url, msn) {
  return playlist(url, `?_HLS_msn=${msn}`);
}

/** The bytes behind a URL. */
export async function bytes(url) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: ${response.status}`);
  return Buffer.from(await response.arrayBuffer());
}
