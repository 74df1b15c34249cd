// Reads {"columns": {table: {column: type}}, "queries": {name: text}} from stdin, and prints {name: [what Microsoft's parser says]}.
require('@kusto/language-service-next/bridge.js');
require('@kusto/language-service-next/Kusto.Language.Bridge.js');
const language = globalThis.Kusto.Language, symbols = language.Symbols;
const asked = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const tables = new (globalThis.System.Collections.Generic.List$1(symbols.Symbol).ctor)();
for (const [table, columns] of Object.entries(asked.columns)) {
  const text = Object.entries(columns).map(([name, type]) => `${name}:${type}`).join(', ');
  tables.add(symbols.TableSymbol.From(`(${text})`).WithName(table));
}
const state = language.GlobalState.Default.WithDatabase(new symbols.DatabaseSymbol.$ctor1('workspace', tables, false));
const said = {};
for (const [name, query] of Object.entries(asked.queries)) {
  const found = language.KustoCode.ParseAndAnalyze(query, state).GetDiagnostics();
  said[name] = Array.from({length: found.Count}, (_, index) => found.getItem(index).Message);
}
console.log(JSON.stringify(said));
