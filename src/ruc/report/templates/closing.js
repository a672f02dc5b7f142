// Skipped files, settings, and what to do next.

function buildSkipped() {
  if (!data.skipped.length) return;
  let shown = 20;
  const list = h('div', { class: 'table-frame' });
  section('skipped', 'Skipped files', `${plural(data.skipped.length, 'file')} could not be used.`, list);
  function update() {
    replaceChildren(list, h('table', { class: 'plain' },
      h('thead', null, h('tr', null, h('th', { scope: 'col' }, 'File'), h('th', { scope: 'col' }, 'Reason'))),
      h('tbody', null, data.skipped.slice(0, shown).map(([name, reason]) => h('tr', null, h('td', { class: 'file-name' }, name), h('td', null, reason))))),
    data.skipped.length > shown && button(`Show all ${number(data.skipped.length)}`, () => { shown = Infinity; update(); }, { class: 'link more' }));
  }
  update();
}

function copyButton(text) {
  const copy = button('Copy', async () => {
    try {
      await navigator.clipboard.writeText(text);
      copy.textContent = 'Copied';
    } catch (error) {
      copy.textContent = 'Select and copy';
    }
    setTimeout(() => { copy.textContent = 'Copy'; }, 1500);
  }, { class: 'copy' });
  return copy;
}

function commandLine(text) {
  return h('div', { class: 'command' }, h('code', { tabindex: '0' }, text), copyButton(text));
}

function buildSettings() {
  if (!data.settings && !data.command) return;
  section('settings', 'Settings', 'Everything that is needed to repeat the run; it is also in config.yaml beside this file.',
    data.command && commandLine(data.command),
    data.settings && h('details', null, h('summary', null, 'All settings'), h('div', { class: 'code-frame' }, copyButton(data.settings), h('pre', { tabindex: '0' }, data.settings))));
}

function buildNext() {
  const list = h('ol', { class: 'steps' });
  section('next', 'What to do next', null, list);

  function update() {
    const all = clusters().map((cluster) => ({ cluster, numbers: stats(cluster) })).filter(({ numbers }) => numbers.size);
    const poor = all.filter(({ cluster, numbers }) => verdict(cluster, numbers).name === 'check').map(({ cluster }) => cluster);
    const one = suggestions().find(({ kind, isNamed }) => kind === 'merge' && !isNamed);
    const link = (cluster) => h('a', { href: `#cluster-${cluster}` }, clusterName(cluster));
    const steps = [
      [['Go through the ', h('a', { href: '#doubtful' }, `doubtful ${nouns}`), '.'], 'A click confirms or moves one.'],
      poor.length > 0 && [['Look closely at ', poor.slice(0, 6).map((cluster, index) => [index ? ', ' : '', link(cluster)]), poor.length > 6 && ` and ${poor.length - 6} more`, '.'], rightShare(poor[0], stats(poor[0])) !== null ? `Many of their ${nouns} are wrong.` : `Fewer than half of their ${nouns} stay together when the clustering is made again.`],
      one && [['Are ', link(one.clusters[0]), ' and ', link(one.clusters[1]), ' the same?'], 'They are the most alike. Merge them if you think so.'],
      [['Name the clusters, then ', button('download your edits', downloadEdits, { class: 'link' }), ' and put them into the run.'], null, `ruc apply ${data.runFolder} edits.json`],
      noun === 'image'
        ? [['Hand the result over: folders, imagefolder, Label Studio, COCO, FiftyOne, Parquet, ONNX.'], null, `ruc export ${data.runFolder} --to folders -o sorted/`]
        : [['Hand the result over: Parquet, ONNX.'], null, `ruc export ${data.runFolder} --to parquet -o clusters.parquet`],
      [[`Sort new ${nouns} into the same clusters.`], null, `ruc predict ${data.runFolder} ${data.isOnFeatures ? '--features new.npy' : 'new_photos/'} -o new.csv`],
      !data.metrics && !data.checked && [['How much of it is right? Answer fifty questions with y and n.'], 'About three minutes.', `ruc check ${data.runFolder}`],
      !data.metrics && [[`Know the truth for some ${nouns}? Measure.`], null, `ruc evaluate ${data.runFolder} --truth truth.csv`],
    ].filter(Boolean);
    replaceChildren(list, steps.map(([title, text, command]) => h('li', null, h('p', { class: 'step-title' }, title), text && h('p', { class: 'note' }, text), command && commandLine(command))));
  }
  listeners.push(update);
  update();
}

function downloadEdits() {
  const address = URL.createObjectURL(new Blob([editsFile()], { type: 'application/json' }));
  const link = h('a', { href: address, download: 'edits.json' });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
  announce('edits.json was downloaded. Put it into the run with: ruc apply');
}
