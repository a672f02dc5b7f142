// Keeps the keyboard's place on the page while what it is on is built anew.

const focusable = 'button, select, input, a[href], [tabindex="0"]';
const nameOf = (element) => element.dataset.action || element.getAttribute('aria-label') || element.textContent;

// Call it before rebuilding, and what it returns after. The focus goes to the same action on the same row; to the one
// that moved up, where that row is gone; to the action's stand-in (`data-or`), where it can't be done any more;
// and to the next part of the page where the whole part is gone.
function rememberFocus() {
  const focused = document.activeElement;
  const part = focused.closest('[id]');
  if (!part || focused === document.body) return () => {};
  const next = part.nextElementSibling || part.previousElementSibling;
  const named = (name) => [...part.querySelectorAll(focusable)].filter((one) => nameOf(one) === name);
  const name = nameOf(focused);
  const at = named(name).indexOf(focused);
  const { row, or: standIn } = focused.dataset;
  return () => {
    if (document.activeElement !== document.body) return;
    const isUsable = (element) => !element.disabled;
    const same = named(name).filter(isUsable);
    const found = same.find((one) => row !== undefined && one.dataset.row === row) || same[Math.min(at, same.length - 1)]
      || named(standIn).find(isUsable) || [...part.querySelectorAll(focusable)].find((one) => isUsable(one) && one.tagName !== 'SELECT'); // whose arrow keys choose
    const target = part.isConnected && found ? found : next;
    if (target) target.focus({ preventScroll: true });
  };
}

function keepingFocus(rebuild) {
  const restore = rememberFocus();
  rebuild();
  restore();
}
