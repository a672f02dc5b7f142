// Building elements. Text is only ever set as text: no markup is parsed from data.

const SVG = 'http://www.w3.org/2000/svg';

function h(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name === 'on') for (const [event, handler] of Object.entries(value)) element.addEventListener(event, handler);
    else if (name === 'style') for (const [property, setting] of Object.entries(value)) element.style.setProperty(property, setting);
    else if (name === 'value' || name === 'checked') element[name] = value;
    else element.setAttribute(name, value === true ? '' : String(value));
  }
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false) continue;
    element.append(child instanceof Node ? child : String(child));
  }
  return element;
}

function button(label, onClick, attributes) {
  return h('button', { type: 'button', ...attributes, on: { click: onClick } }, label);
}

function replaceChildren(element, ...children) {
  element.replaceChildren();
  return fill(element, null, children);
}

const numberFormat = new Intl.NumberFormat('en-US');

function number(value) {
  return numberFormat.format(value);
}

function percent(share, digits = 0) {
  if (!Number.isFinite(share)) return '–';
  // a share that is not all of it must not read as all of it, and one that is something not as nothing
  const text = (share * 100).toFixed(digits);
  if (share < 1 && Number(text) === 100) return `${(100 - 10 ** -digits).toFixed(digits)} %`;
  if (share > 0 && Number(text) === 0) return `< ${(10 ** -digits).toFixed(digits)} %`;
  return `${text} %`;
}

function plural(count, one, many = `${one}s`) {
  return `${number(count)} ${count === 1 ? one : many}`;
}

function sum(counts) {
  return counts.reduce((a, b) => a + b, 0);
}

function tidy(value) {
  if (value === null || value === undefined || !Number.isFinite(value)) return '–';
  if (Number.isInteger(value)) return number(value);
  const size = Math.abs(value);
  if (size >= 100) return value.toFixed(0);
  if (size >= 10) return value.toFixed(1);
  return size >= 0.01 ? value.toFixed(3).replace(/0$/, '') : value.toPrecision(2);
}

// What is outside of an open dialog is silent, so a dialog has its own announcer.
function announce(text) {
  (document.querySelector('dialog[open] .announcer') || document.getElementById('announcer')).textContent = text;
}

function debounced(action, milliseconds) {
  let timer = 0;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => action(...values), milliseconds);
  };
}

const mostPrinted = 200; // parts of the page that are made just to be printed
const waiting = new Set();

// Runs once, when the element comes near the screen, or on to paper.
function whenNear(element, action) {
  const act = () => {
    if (!waiting.delete(act)) return;
    observer.disconnect();
    action();
  };
  const observer = new IntersectionObserver((entries) => { if (entries.some((entry) => entry.isIntersecting)) act(); }, { rootMargin: '600px' });
  waiting.add(act);
  observer.observe(element);
}

addEventListener('beforeprint', () => { for (const act of [...waiting].slice(0, mostPrinted)) act(); });

function section(id, title, lead, ...content) {
  const element = h('section', { id, 'aria-labelledby': `${id}-title` },
    h('div', { class: 'section-head' }, h('h2', { id: `${id}-title`, tabindex: '-1' }, title), lead && h('p', { class: 'lead' }, lead)),
    content);
  document.getElementById('main').append(element);
  return element;
}

function emptyState(title, text) {
  return h('div', { class: 'empty' }, h('strong', null, title), text && h('p', null, text));
}
