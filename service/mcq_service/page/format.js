// Format numbers for people.

const PERCENT = new Intl.NumberFormat("en", { style: "percent", maximumFractionDigits: 1 });
const DAY = new Intl.DateTimeFormat("en", { dateStyle: "long" });
const WHOLE = new Intl.NumberFormat("en");

export function percent(share) {
  if (share > 0 && share < 0.001) return "<0.1%";
  if (share < 1 && share > 0.999) return ">99.9%";
  return PERCENT.format(share);
}

export const points = (share) => (share * 100).toFixed(1).replace(/\.0$/, "");
export const whole = (number) => WHOLE.format(number);
export const time = (ms) => (ms < 999.5 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`);
export const day = (time) => DAY.format(new Date(time));
