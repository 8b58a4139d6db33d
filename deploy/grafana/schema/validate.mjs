// validate.mjs FILE...: holds each dashboard against schema.json, prints what the
// schema has against it, and exits with 1 where there is anything.
import Ajv from 'ajv';
import fs from 'node:fs';

const schema = JSON.parse(fs.readFileSync(new URL('schema.json', import.meta.url)));
const validate = new Ajv({allErrors: true, allowUnionTypes: true}).compile(schema);
for (const file of process.argv.slice(2)) {
  if (validate(JSON.parse(fs.readFileSync(file)))) continue;
  process.exitCode = 1;
  for (const {instancePath, message, params} of validate.errors) {
    console.log(`${file}: ${instancePath || '/'} ${message} ${JSON.stringify(params)}`);
  }
}
