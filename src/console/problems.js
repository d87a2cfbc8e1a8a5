// What the service found wrong with a form (422), field by field.

/**
 * Sentences by attribute; what is about no field of the form stands under `base`. The service says each problem twice: as a
 * sentence that begins with the attribute, and as a code under its name.
 */
export function problemsByAttribute(error, labels) {
  const found = {};
  const attributes = Object.keys(error.details).sort((one, other) => other.length - one.length);
  for (const message of error.messages) {
    const attribute = attributes.find((name) => message.startsWith(`${spoken(name)} `)) ?? 'base';
    const isField = attribute in labels;
    const text = isField ? `${labels[attribute]}${message.slice(spoken(attribute).length)}` : message;
    (found[isField ? attribute : 'base'] ??= []).push(text);
  }
  return found;
}

/** An attribute as the service's sentences begin. */
function spoken(attribute) {
  const words = attribute.replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}
