/** Shows /openapi.json. Everything is put in as text, so nothing in the document can become markup. */
'use strict';

const make = (name, className, text) => {
  const element = document.createElement(name);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
};

const typeOf = (schema) => {
  if (!schema) return '';
  if (schema.$ref) return schema.$ref.split('/').pop();
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (schema.const !== undefined) return JSON.stringify(schema.const);
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(' | ');
  if (schema.type === 'array') return `${typeOf(schema.items)}[]`;
  return [schema.type].flat().join(' | ');
};

const rowsOf = (schema) => {
  const required = new Set(schema.required || []);
  return Object.entries(schema.properties || {}).map(([name, member]) => ({
    name,
    type: typeOf(member),
    note: [required.has(name) ? 'required' : '', member.description || ''].filter(Boolean).join(', '),
  }));
};

const tableOf = (rows) => {
  const table = make('table');
  for (const { name, type, note } of rows) {
    const row = make('tr');
    row.append(make('td', '', name), make('td', '', type), make('td', '', note));
    table.append(row);
  }
  return table;
};

const section = (title, content) => {
  const box = make('div');
  box.append(make('h4', '', title), content);
  return box;
};

const bodyOf = (content) => Object.values(content || {})[0]?.schema;

const shapeOf = (schema) => {
  const shown = schema.type === 'array' ? schema.items : schema;
  const rows = rowsOf(shown || {});
  return rows.length > 0 ? tableOf(rows) : make('code', '', typeOf(schema));
};

const operationOf = (method, path, operation) => {
  const details = make('details');
  const summary = make('summary');
  summary.append(
    make('span', 'method', method.toUpperCase()),
    make('code', '', path),
    make('span', 'what', operation.summary),
  );
  const inner = make('div');
  if (operation.description) inner.append(make('p', '', operation.description));
  const parameters = (operation.parameters || []).map(({ name, schema, required, in: place }) => ({
    name,
    type: typeOf(schema),
    note: [place, required ? 'required' : ''].filter(Boolean).join(', '),
  }));
  if (parameters.length > 0) inner.append(section('Parameters', tableOf(parameters)));
  const body = bodyOf(operation.requestBody?.content);
  if (body) inner.append(section('Body', shapeOf(body)));
  for (const [code, answer] of Object.entries(operation.responses || {})) {
    const schema = bodyOf(answer.content);
    if (code === '200' && schema) inner.append(section('Answer 200', shapeOf(schema)));
    else inner.append(make('p', '', `${code}: ${answer.description || ''}`));
  }
  details.append(summary, inner);
  details.dataset.words = `${method} ${path} ${operation.summary || ''}`.toLowerCase();
  return details;
};

const show = (api) => {
  document.getElementById('about').textContent =
    `${api.info.title} ${api.info.version}. ${api.info.description}`;
  const place = document.getElementById('operations');
  const byTag = new Map(api.tags.map(({ name }) => [name, []]));
  for (const [path, methods] of Object.entries(api.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags?.[0] || 'more';
      byTag.set(tag, [...(byTag.get(tag) || []), operationOf(method, path, operation)]);
    }
  }
  for (const [tag, operations] of byTag)
    if (operations.length > 0) place.append(make('h2', '', tag), ...operations);
  document.getElementById('find').addEventListener('input', ({ target }) => {
    const words = target.value.toLowerCase();
    for (const details of place.querySelectorAll('details'))
      details.hidden = !details.dataset.words.includes(words);
  });
};

fetch('/openapi.json')
  .then((answer) => answer.json())
  .then(show)
  .catch(() => {
    document.getElementById('about').textContent = 'The API description could not be loaded.';
  });
