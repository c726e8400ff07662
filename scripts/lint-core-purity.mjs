/**
 * Lint rules for the pure core that no built-in rule covers: promises in any spelling, and imports that leave the core.
 *
 * Loaded by .oxlintrc.json for packages/core/src (tests excluded). An interleaving inside a machine would escape the
 * simulator's seed, so `async`, `await` and dynamic `import()` are refused where they are written, not where they are
 * used; a reader sees the reason in the message. Proven by test/tidy/lint-rules.test.ts.
 */

const noAsync = {
  create(context) {
    const refuse = (node, what) =>
      context.report({
        node,
        message: `core is synchronous: ${what} would interleave in ways no seed controls`,
      });
    const refuseAsyncFunction = (node) => {
      if (node.async) refuse(node, 'an async function');
    };
    return {
      FunctionDeclaration: refuseAsyncFunction,
      FunctionExpression: refuseAsyncFunction,
      ArrowFunctionExpression: refuseAsyncFunction,
      AwaitExpression: (node) => refuse(node, 'await'),
      ForOfStatement(node) {
        if (node.await) refuse(node, 'for await');
      },
      ImportExpression: (node) => refuse(node, 'a dynamic import'),
    };
  },
};

/** Only the core itself and the contract: no node:*, no runtime, no library. */
const allowedImport = /^(\.{1,2}\/|@muster\/contract$)/;

const imports = {
  create(context) {
    const check = (node) => {
      const source = node.source?.value;
      if (typeof source === 'string' && !allowedImport.test(source)) {
        context.report({ node, message: `core imports only itself and @muster/contract, not '${source}'` });
      }
    };
    return { ImportDeclaration: check, ExportNamedDeclaration: check, ExportAllDeclaration: check };
  },
};

export default { meta: { name: 'core-purity' }, rules: { 'no-async': noAsync, imports } };
