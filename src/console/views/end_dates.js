// Days in the reader's own time zone, as a date input has them (`2027-01-31`), and the moments that they end at.

/** The day that is so many days after a moment. */
export function dayAfter(days, now = new Date()) {
  const day = new Date(now);
  day.setDate(day.getDate() + days);
  return dayOf(day);
}

/** The day that a moment is in. */
export function dayOf(date) {
  const two = (value) => String(value).padStart(2, '0');
  return `${String(date.getFullYear()).padStart(4, '0')}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/**
 * The last second of a day as RFC 3339; `null` where there is no day. `bound` is a moment that nothing may go beyond: on
 * its day it is the end.
 */
export function endOfDay(day, bound = null) {
  if (day === '') return null;
  if (bound !== null && dayOf(new Date(bound)) === day) return bound;
  const [year, month, dayOfMonth] = day.split('-').map(Number);
  const end = new Date(2000, 0, 1, 23, 59, 59);
  // The constructor would take a year below 100 for one of the last century.
  end.setFullYear(year, month - 1, dayOfMonth);
  return end.toISOString();
}

/** Whether a moment (RFC 3339) is over. */
export function isPast(moment, now = new Date()) {
  return new Date(moment) <= now;
}
