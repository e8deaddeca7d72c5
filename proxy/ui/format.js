// Numbers for people: few digits, a unit, always of the same width where possible.

const MINUS = "\u2212";
const NOTHING = "\u2013";

function showRate(perSecond) {
  if (!Number.isFinite(perSecond)) return NOTHING;
  if (perSecond === 0) return "0";
  if (perSecond < 10) return perSecond.toFixed(1);
  return showCount(Math.round(perSecond));
}

function showCount(n) {
  if (n === undefined || n === null) return NOTHING;
  if (n < 10000) return String(n);
  if (n < 1e6) return (n / 1e3).toFixed(n < 1e5 ? 1 : 0) + " k";
  return (n / 1e6).toFixed(1) + " M";
}

function showShare(ratio) {
  if (!Number.isFinite(ratio)) return NOTHING;
  const percent = ratio * 100;
  if (percent === 0) return "0 %";
  if (percent < 0.1) return "<0.1 %";
  return percent.toFixed(percent < 10 ? 1 : 0) + " %";
}

function showMs(ms) {
  if (!Number.isFinite(ms)) return NOTHING;
  if (ms < 10) return ms.toFixed(1) + " ms";
  if (ms < 1000) return Math.round(ms) + " ms";
  return (ms / 1000).toFixed(ms < 10000 ? 2 : 1) + " s";
}

function showSpan(seconds) {
  if (!Number.isFinite(seconds)) return NOTHING;
  if (seconds < 60) return Math.max(0, Math.round(seconds)) + " s";
  if (seconds < 3600) return Math.floor(seconds / 60) + " min " + Math.floor(seconds % 60) + " s";
  if (seconds < 86400) return Math.floor(seconds / 3600) + " h " + Math.floor((seconds % 3600) / 60) + " min";
  return Math.floor(seconds / 86400) + " d " + Math.floor((seconds % 86400) / 3600) + " h";
}

function showBytes(n) {
  if (!n) return "0";
  if (n < 1048576) return (n / 1024).toFixed(0) + " KiB";
  if (n < 1073741824) return (n / 1048576).toFixed(n < 104857600 ? 1 : 0) + " MiB";
  return (n / 1073741824).toFixed(1) + " GiB";
}

// The reader's local time; of another day with the date.
function showTime(unixSeconds) {
  const at = new Date(unixSeconds * 1000);
  const two = (n) => String(n).padStart(2, "0");
  const time = two(at.getHours()) + ":" + two(at.getMinutes()) + ":" + two(at.getSeconds());
  const today = at.toDateString() === new Date().toDateString();
  return today ? time : two(at.getMonth() + 1) + "-" + two(at.getDate()) + " " + time;
}

function plural(n, one, many) {
  return n + " " + (n === 1 ? one : many);
}
