/* pictures: docs/page-*.png, of operations that real commands have done. */
import {writeFileSync} from "node:fs";
import {dirname, join} from "node:path";
import {fileURLToPath} from "node:url";
import {Ledger, launch} from "./harness.mjs";

const docs = join(dirname(fileURLToPath(import.meta.url)), "../../docs");
const ledger = new Ledger();
const browser = await launch();
const rest = s => new Promise(resolve => setTimeout(resolve, s * 1000));

async function picture(name, path, scheme, act) {
	const context = await browser.newContext({viewport: {width: 1180, height: 680}, colorScheme: scheme});
	const page = await context.newPage();
	await page.goto(ledger.url + path);
	await page.waitForFunction(() => /live|past/.test(document.querySelector("#line").textContent));
	await rest(1);
	await act?.(page);
	/* The folder of this run means nothing to anybody. */
	await page.evaluate(() => { document.querySelector("#where").textContent = "/srv/ledger"; });
	await page.screenshot({path: join(docs, name)});
	await context.close();
}

function script(text) {
	return ledger.run("sh", ["-ec", text]);
}

try {
	await ledger.serve();
	for (const [who, what] of [["cron", "Rotate the logs of 12 hosts"], ["mirror", "Mirror the package index"], ["backup", "Backup of the databases, 27 November"]])
		script(`o=$(dpl-create -p ${who} -d '${what}'); dpl-call -o $o -p ${who} -d all -- sleep 0.2; dpl-complete -q -o $o -p ${who}`);
	script(`o=$(dpl-create -p agent -d 'Refactor the parser'); for w in editor tests review; do dpl-join -q -o $o -p $w; done
		dpl-call start -q -o $o -p editor -d 'edit src/parse.c'; dpl-abort -q -o $o -p review -m 'the wrong branch'`);

	/* One whose worker is killed half way. */
	const dead = script("dpl-create -p nightly -d 'Backup of the databases, 28 November'");
	script(`dpl-join -q -o ${dead} -p host-a; dpl-join -q -o ${dead} -p host-b`);
	writeFileSync(join(ledger.folder, "snapshot"), "x");
	const others = ledger.start("dpl-call", ["-o", dead, "-p", "host-b", "-d", "dump users", "--", "sleep", "60"]);
	ledger.run("dpl-call", ["-o", dead, "-p", "host-a", "-d", "snapshot", "--", "sleep", "0.7"]);
	const dies = ledger.start("dpl-call", ["-o", dead, "-p", "host-a", "-d", "dump orders", "--", "sh", "-c", 'dpl-temp add "$PWD/snapshot"; dpl-log "12 of 40 GB"; exec sleep 60']);
	await rest(1.5);
	dies.kill("SIGKILL");
	await others.over;
	ledger.run("dpl-cleanup", [dead]);

	/* One that is at work. */
	const live = script("dpl-create -p release -d 'Release 2.4: build, test, upload'");
	const on = `-o ${live}`;
	for (const who of ["builder", "tester", "uploader"])
		script(`dpl-join -q ${on} -p ${who}`);
	const build = script(`dpl-call start ${on} -p release -d 'build all targets'`);
	await Promise.all([["x86_64", 2.4, 0], ["arm64", 1.7, 0], ["riscv64", 0.9, 1]].map(([target, s, status]) =>
		ledger.start("dpl-call", ["-o", live, "-p", "builder", "--parent", build, "-d", "compile " + target, "--", "sh", "-c", `sleep ${s}; exit ${status}`]).over));
	script(`dpl-call ${on} -p builder --parent ${build} -d 'compile riscv64, again' -- sleep 1.1; dpl-call end -q ${on} -p release ${build}; dpl-log ${on} -p builder --level warning 'riscv64 needed two tries'`);
	const tests = script(`dpl-call start ${on} -p tester -d 'test suite'`);
	script(`dpl-temp add -q ${on} -p tester --command 'docker rm -f test-db'
		for t in unit integration; do dpl-call ${on} -p tester --parent ${tests} -d "$t tests" -- sleep 0.8; dpl-log ${on} -p tester "$t tests passed"; done`);
	const upload = script(`dpl-call start ${on} -p uploader -d 'upload to 8 mirrors'`);
	ledger.start("dpl-call", ["-o", live, "-p", "tester", "--parent", tests, "-d", "fuzz tests", "--", "sleep", "60"]);
	await rest(1);
	script(`dpl-beat -q ${on} -p uploader --call ${upload} --progress 3/8 -m mirrors`);
	script(`dpl-beat -q ${on} -p tester --progress 2/3`);
	await rest(1.4);
	await picture("page-operation.png", "/#/" + live, "light");
	await picture("page-list.png", "/", "light");
	await picture("page-why.png", `/#/${dead}/why`, "dark");
} finally {
	await browser.close();
	await ledger.end();
}
