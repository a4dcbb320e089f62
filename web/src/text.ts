// Every word that the pages show, in English and Chinese, chosen by the browser's language.

const english = {
  live: "Live",
  live_now: "Live now",
  rooms_one: "1 room on this edge",
  rooms_many: "{n} rooms on this edge",
  viewers_one: "1 watching",
  viewers_many: "{n} watching",
  nobody_live: "Nobody is live yet",
  nobody_live_more: "This list fills by itself as soon as somebody publishes.",
  edge_unreachable: "The edge does not answer. Trying again.",
  go_live: "Go live",
  go_live_more: "Point an encoder here. ROOM is yours to choose: letters, digits, _ and -.",
  server: "Server",
  stream_key: "Stream key",
  copy: "Copy",
  copied: "Copied",
  since: "since {time}",
  audio_only: "audio only",

  play: "Play",
  pause: "Pause",
  mute: "Mute",
  unmute: "Unmute",
  turn_sound_on: "Turn sound on",
  volume: "Volume",
  fullscreen: "Full screen",
  picture_in_picture: "Picture in picture",
  to_live: "Back to live",
  protocol: "Protocol",

  loading: "Connecting",
  buffering: "Catching up",
  retrying: "Connection lost. Trying again in {n} s",
  absent: "No such room",
  absent_more: "Nobody is live in “{room}”. The picture starts by itself when they are.",
  ended: "The show has ended",
  ended_more: "Thank you for watching.",
  failed: "This browser cannot play the stream",
  try_again: "Try again",
  other_rooms: "See who is live",
  switched: "{from} failed; switched to {to}.",

  delay: "Delay",
  delay_clock: "Capture to screen: your clock against the stamp in the stream.",
  delay_edge: "Distance from the newest part of the playlist; the clocks disagree.",
  delay_buffer: "Only what waits in the player: FLV carries no clock.",
  delay_sub_clock: "capture to screen",
  delay_sub_edge: "behind the edge",
  delay_sub_buffer: "in the player",
  buffer: "Buffer",
  picture: "Picture",
  bitrate: "Bitrate",
  start: "First frame",
  stalls: "Stalls",
  dropped: "Dropped frames",
  edge: "Edge",
  player: "Player",
};

/** A key of the table. */
export type Key = keyof typeof english;

const chinese: Record<Key, string> = {
  live: "直播",
  live_now: "正在直播",
  rooms_one: "本节点 1 个直播间",
  rooms_many: "本节点 {n} 个直播间",
  viewers_one: "1 人在看",
  viewers_many: "{n} 人在看",
  nobody_live: "还没有人开播",
  nobody_live_more: "一旦有人推流，列表会自动更新。",
  edge_unreachable: "节点没有响应，正在重试。",
  go_live: "开播",
  go_live_more: "把编码器指向这里。ROOM 由你来定：字母、数字、_ 和 -。",
  server: "服务器",
  stream_key: "串流密钥",
  copy: "复制",
  copied: "已复制",
  since: "{time} 开播",
  audio_only: "仅音频",

  play: "播放",
  pause: "暂停",
  mute: "静音",
  unmute: "取消静音",
  turn_sound_on: "打开声音",
  volume: "音量",
  fullscreen: "全屏",
  picture_in_picture: "画中画",
  to_live: "回到直播",
  protocol: "协议",

  loading: "正在连接",
  buffering: "正在追赶",
  retrying: "连接中断，{n} 秒后重试",
  absent: "没有这个直播间",
  absent_more: "“{room}” 还没有开播。开播后画面会自动出现。",
  ended: "直播已结束",
  ended_more: "感谢观看。",
  failed: "当前浏览器无法播放该直播",
  try_again: "重试",
  other_rooms: "看看谁在直播",
  switched: "{from} 播放失败，已切换到 {to}。",

  delay: "延迟",
  delay_clock: "从采集到屏幕：本机时钟与流内时间戳之差。",
  delay_edge: "与播放列表最新分片的距离；两端时钟不一致。",
  delay_buffer: "仅播放器内的缓冲：FLV 不带时钟。",
  delay_sub_clock: "采集到屏幕",
  delay_sub_edge: "距最新分片",
  delay_sub_buffer: "播放器缓冲",
  buffer: "缓冲",
  picture: "画面",
  bitrate: "码率",
  start: "首帧",
  stalls: "卡顿",
  dropped: "丢帧",
  edge: "节点",
  player: "播放器",
};

const useChinese = navigator.language.toLowerCase().startsWith("zh");
const table: Record<Key, string> = useChinese ? chinese : english;

/** The text of `key`, with each `{name}` replaced by its value. */
export function text(key: Key, values: Record<string, string | number> = {}): string {
  return table[key].replaceAll(/\{(\w+)\}/g, (_, name: string) => String(values[name] ?? ""));
}

/** The singular or plural text for a count. */
export function counted(one: Key, many: Key, n: number): string {
  return n === 1 ? text(one) : text(many, { n: n.toLocaleString() });
}

/** Fills each `data-text` element of the page and sets the page's language. */
export function fillPage(): void {
  document.documentElement.lang = useChinese ? "zh" : "en";
  for (const node of document.querySelectorAll<HTMLElement>("[data-text]")) {
    node.textContent = text(node.dataset.text as Key);
  }
}
