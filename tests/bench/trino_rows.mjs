/*
 * Statements by the npm package trino-client, for the bench beside run-core.
 *
 *     node trino_rows.mjs URL COUNT STATEMENT     asks the statement so often, and reads its rows
 *
 * It prints how many rows came and, in KiB, the greatest memory that it had.
 */
import { BasicAuth, Trino } from "trino-client";

const [url, count, statement] = process.argv.slice(2);
const trino = Trino.create({ server: url, catalog: "hive", auth: new BasicAuth("bench") });
let rows = 0;
for (let asked = 0; asked < Number(count); asked++)
    for await (const page of await trino.query(statement)) {
        if (page.error)
            throw new Error(page.error.message);
        rows += page.data?.length ?? 0;
    }
console.log(rows, process.resourceUsage().maxRSS);
