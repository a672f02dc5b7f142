// Puts the page together: sections in order, contents, theme, keys, and the bar for edits.

function buildContents() {
  const titles = { outcome: 'Overview', changes: 'Changes', suggestions: 'Decide first', map: 'Map', clusters: 'Clusters', number: 'Number of clusters', levels: 'Levels', doubtful: 'Doubtful', marked: 'Marked', next: 'What to do next', images: `All ${nouns}`, evaluation: 'Against the truth', training: 'Training', skipped: 'Skipped', settings: 'Settings' };
  const nav = document.getElementById('contents');
  const links = new Map();
  for (const [id, title] of Object.entries(titles)) {
    if (!document.getElementById(id)) continue;
    const link = h('a', { href: `#${id}` }, title);
    links.set(id, link);
    nav.append(link);
  }
  const inView = new Set();
  const observer = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) inView.add(entry.target.id);
      else inView.delete(entry.target.id);
    }
    const [first] = [...links.keys()].filter((id) => inView.has(id));
    for (const [id, link] of links) {
      if (id === first) link.setAttribute('aria-current', 'true');
      else link.removeAttribute('aria-current');
    }
  }, { rootMargin: '-15% 0px -70% 0px' });
  for (const id of links.keys()) if (id !== 'changes') observer.observe(document.getElementById(id));
}

function buildEditbar() {
  const bar = document.getElementById('editbar');
  let isListOpen = false;

  const update = () => keepingFocus(build);

  function build() {
    const selected = [...selection];
    bar.hidden = !edits.length && !undone.length && !selected.length;
    replaceChildren(bar,
      selected.length > 0 && h('div', { class: 'editbar-row' },
        h('span', { class: 'editbar-text' }, h('b', null, number(selected.length)), ' selected'),
        clusterSelect('Move to…', (cluster) => { moveTo(selected, cluster); setSelected(selected, false); }, { withNew: true }),
        button('Clear', () => setSelected(selected, false), { class: 'quiet' })),
      (edits.length > 0 || undone.length > 0) && h('div', { class: 'editbar-row' },
        h('button', { type: 'button', class: 'quiet editbar-text', 'aria-expanded': String(isListOpen), 'data-action': 'list', on: { click: () => { isListOpen = !isListOpen; update(); } } }, h('b', null, number(edits.length)), ` ${edits.length === 1 ? 'edit' : 'edits'}`, isStored && h('span', { class: 'wide-only' }, live ? ', in the run' : ', kept in this browser')),
        button('Undo', undo, { disabled: !edits.length, title: 'u', 'data-or': 'Redo' }),
        button('Redo', redo, { disabled: !undone.length, title: 'Shift u', 'data-or': 'Undo' }),
        !live && button(['Download', h('span', { class: 'wide-only' }, ' edits.json')], downloadEdits, { class: 'primary', disabled: !edits.length })),
      edits.length > 0 && !isStored && h('p', { class: 'editbar-warning' }, notStored),
      isListOpen && edits.length > 0 && h('div', { class: 'editbar-list' },
        h('ol', null, edits.slice(-50).map((change) => h('li', null, describe(change)))),
        button('Forget all edits', () => { if (confirm('Forget all edits made in this page?')) forgetEdits(); }, { class: 'link' })));
  }
  listeners.push(update);
  selectionListeners.push(update);
  update();
}

const themeListeners = [];

function buildTheme() {
  const toggle = document.getElementById('theme-button');
  const themes = ['auto', 'light', 'dark'];
  let theme = 'auto';
  try { theme = localStorage.getItem('ruc-theme') || 'auto'; } catch (error) { /* the page works without memory */ }
  function show() {
    if (theme === 'auto') document.documentElement.removeAttribute('data-theme');
    else document.documentElement.setAttribute('data-theme', theme);
    toggle.textContent = `Theme: ${theme}`;
    for (const listener of themeListeners) listener();
  }
  toggle.addEventListener('click', () => {
    theme = themes[(themes.indexOf(theme) + 1) % themes.length];
    try { localStorage.setItem('ruc-theme', theme); } catch (error) { /* as above */ }
    show();
  });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', show);
  show();
}

function buildKeys() {
  const keys = [['r', 'review twelve at a time'], ['o', 'review one at a time'], ['/', 'search the table'], ['u', 'undo'], ['Shift u', 'do again'], ['← ↑ → ↓', `from ${noun} to ${noun}`], ['Enter', `open the ${noun}`], ['x', 'select it'], ['Esc', 'close'], ['?', 'this list']];
  const help = h('dialog', { class: 'help', 'aria-label': 'Keyboard' }, h('h3', null, 'Keyboard'),
    h('dl', { class: 'facts' }, keys.map(([key, text]) => [h('dt', null, h('kbd', null, key)), h('dd', null, text)])),
    button('Close', () => help.close()));
  document.body.append(help);
  document.getElementById('help-button').addEventListener('click', () => help.showModal());
  document.addEventListener('keydown', (event) => {
    const isTyping = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) && event.target.type !== 'checkbox';
    if (isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'u') undo();
    else if (event.key === 'U') redo();
    else if (document.querySelector('dialog[open]')) return;
    else if (event.key === '/') { document.getElementById('search').focus(); event.preventDefault(); }
    else if (event.key === 'r') document.getElementById('review-button')?.click();
    else if (event.key === 'o') document.getElementById('review-one-button')?.click();
    else if (event.key === '?') help.showModal();
  });
}

buildSummary();
buildSuggestions();
buildMap();
buildClusters();
buildNumberOfClusters();
buildLevels();
buildDoubtful();
buildMarked();
buildNext();
buildTable();
buildEvaluation();
buildTraining();
buildSkipped();
buildSettings();
buildContents();
buildEditbar();
buildTheme();
buildKeys();
startLive();
