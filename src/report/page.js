'use strict';
(() => {
  const tip = document.getElementById('tip');
  const most = 12;  // lines in a tip: what fits beside a chart

  function show(event, lines) {
    tip.replaceChildren(...lines);
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    const x = event.clientX + 16 + box.width > innerWidth ? event.clientX - box.width - 16 : event.clientX + 16;
    const y = Math.min(event.clientY + 16, innerHeight - box.height - 8);
    tip.style.left = Math.max(8, x) + 'px';
    tip.style.top = Math.max(8, y) + 'px';
  }
  const hide = () => { tip.hidden = true; };

  function line(text, value, colour) {
    const p = document.createElement('p');
    const name = document.createElement('span');
    if (colour) {
      const swatch = document.createElement('i');
      swatch.className = 'swatch';
      swatch.style.background = colour;
      name.append(swatch);
    }
    name.append(text);
    p.append(name);
    if (value !== undefined) {
      const b = document.createElement('b');
      b.textContent = value;
      p.append(b);
    }
    return p;
  }

  // Numbers read as elsewhere on the page.
  function written(value, quantity) {
    if (quantity === 'percent') return (100 * value).toFixed(2) + ' %';
    return Math.abs(value) >= 1000 ? Math.round(value).toLocaleString('en') : String(Number(value.toPrecision(4)));
  }

  // Curves: a vertical line at the nearest x of any curve, and the values there.
  for (const svg of document.querySelectorAll('svg[data-x-axis]')) {
    const [low, high, left, right] = svg.dataset.xAxis.split(' ').map(Number);
    const axis = svg.dataset.yAxis.split(' ');
    const [yLow, yHigh, bottom, top] = axis.slice(0, 4).map(Number);
    const curves = [...svg.querySelectorAll('.series')].map(g => ({
      g, name: g.dataset.name, x: g.dataset.x.split(' ').map(Number), y: g.dataset.y.split(' ').map(Number),
    }));
    const xs = [...new Set(curves.flatMap(c => c.x))].sort((a, b) => a - b);
    const cursor = document.createElementNS(svg.namespaceURI, 'path');
    cursor.setAttribute('class', 'cursor');
    svg.append(cursor);
    // By traffic, no two runs share an x: each curve then answers with its own nearest point.
    const shared = svg.dataset.xLabel === 'epoch';
    const place = y => axis[4] === 'log'
      ? bottom + Math.log(y / yLow) / Math.log(yHigh / yLow) * (top - bottom)
      : bottom + (y - yLow) / (yHigh - yLow) * (top - bottom);

    svg.addEventListener('pointermove', event => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
      const wanted = low + (at.x - left) / (right - left) * (high - low);
      const nearest = list => list.reduce((a, b) => Math.abs(b - wanted) < Math.abs(a - wanted) ? b : a);
      const x = nearest(xs);
      const px = left + (x - low) / (high - low) * (right - left);
      cursor.setAttribute('d', `M${px} ${top}V${bottom}`);
      let values = [];
      for (const c of curves) {
        if (c.g.classList.contains('off')) continue;
        const i = c.x.indexOf(shared ? x : nearest(c.x));
        if (i >= 0 && Number.isFinite(c.y[i])) values.push({c, y: c.y[i], strong: c.g.classList.contains('strong')});
      }
      if (values.length > most) {
        // Too many to list: the strong curves and those under the pointer.
        const far = v => v.strong ? -1 : Math.abs(place(v.y) - at.y);
        values = values.sort((a, b) => far(a) - far(b)).slice(0, most);
      }
      values.sort((a, b) => b.y - a.y);
      const head = line((shared ? 'epoch ' : 'near ') + written(x, 'plain') + (shared ? '' : ' ' + svg.dataset.xLabel));
      show(event, [head, ...values.map(v => line(v.c.name, written(v.y, svg.dataset.quantity),
                                                 getComputedStyle(v.c.g).getPropertyValue('--c')))]);
    });
    svg.addEventListener('pointerleave', () => { cursor.removeAttribute('d'); hide(); });
  }

  // Cells and nodes: their <title> at once and in the page's own dress.
  for (const title of document.querySelectorAll('svg title')) {
    const owner = title.parentNode;
    const text = title.textContent;
    title.remove();
    owner.setAttribute('aria-label', text);
    owner.addEventListener('pointermove', event => show(event, [line(text)]));
    owner.addEventListener('pointerleave', hide);
  }

  // Switches: click hides, pointing lights up.
  for (const scope of document.querySelectorAll('[data-scope]')) {
    const parts = new Map();
    for (const part of scope.querySelectorAll('.series[data-key], .end[data-key], .node[data-key]')) {
      if (!parts.has(part.dataset.key)) parts.set(part.dataset.key, []);
      parts.get(part.dataset.key).push(part);
    }
    const edgesOf = key => [...scope.querySelectorAll('.edge[data-ends]:not(.ghost)')]
      .filter(edge => edge.dataset.ends.split(' ').some(rank => 'worker-' + rank === key));
    function light(key, on) {
      scope.classList.toggle('lighting', on);
      for (const part of [...(parts.get(key) || []), ...edgesOf(key)]) part.classList.toggle('lit', on);
    }
    const switches = [...scope.querySelectorAll('[data-switch]')].filter(s => s.dataset.switch !== '*');
    const all = scope.querySelector('[data-switch="*"]');
    function set(button, on) {
      button.setAttribute('aria-pressed', on);
      for (const part of parts.get(button.dataset.switch) || []) {
        if (!part.classList.contains('node')) part.classList.toggle('off', !on);
      }
      if (all) all.textContent = switches.some(s => s.getAttribute('aria-pressed') === 'true') ? 'none' : 'all';
    }
    for (const button of switches) {
      button.addEventListener('click', () => set(button, button.getAttribute('aria-pressed') !== 'true'));
      button.addEventListener('pointerenter', () => light(button.dataset.switch, true));
      button.addEventListener('pointerleave', () => light(button.dataset.switch, false));
    }
    if (all) all.addEventListener('click', () => {
      const on = all.textContent === 'all';
      for (const button of switches) set(button, on);
    });
    for (const node of scope.querySelectorAll('.node')) {
      node.addEventListener('pointerenter', () => light(node.dataset.key, true));
      node.addEventListener('pointerleave', () => light(node.dataset.key, false));
    }
  }

  // Paper cannot unfold, and a link into a fold must open it.
  addEventListener('beforeprint', () => { for (const fold of document.querySelectorAll('details')) fold.open = true; });
  function openTarget() {
    const fold = location.hash.length > 1 && document.getElementById(location.hash.slice(1))?.querySelector('details.fold');
    if (fold) fold.open = true;
  }
  addEventListener('hashchange', openTarget);
  openTarget();
})();
