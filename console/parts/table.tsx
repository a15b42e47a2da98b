// A table that becomes a list of cards on a narrow screen. Roles are said, because such a layout takes them away.

import type { ComponentChildren } from "preact";

export interface Column<Row> {
  readonly title: string;
  readonly cell: (row: Row) => ComponentChildren;
  readonly isNumber?: boolean;
  /** Heads the card of a row. */
  readonly isHead?: boolean;
}

interface TableProps<Row> {
  readonly caption: string;
  readonly columns: readonly Column<Row>[];
  readonly rows: readonly Row[];
  readonly keyOf: (row: Row) => string;
  readonly classOf?: (row: Row) => string;
  readonly onRow?: (row: Row) => void;
  /** What stands there when there are no rows. */
  readonly empty: ComponentChildren;
}

export function Table<Row>({ caption, columns, rows, keyOf, classOf, onRow, empty }: TableProps<Row>) {
  if (rows.length === 0) return <p class="empty">{empty}</p>;
  return (
    // biome-ignore-start lint/a11y/noRedundantRoles: cards on a narrow screen lose the roles of a table
    <table role="table" class="rows">
      <caption class="unseen">{caption}</caption>
      <thead role="rowgroup">
        <tr role="row">
          {columns.map(({ title, isNumber }) => (
            <th key={title} scope="col" role="columnheader" class={isNumber ? "number" : undefined}>
              {title}
            </th>
          ))}
        </tr>
      </thead>
      <tbody role="rowgroup">
        {rows.map((row) => (
          <tr
            key={keyOf(row)}
            role="row"
            class={`${classOf?.(row) ?? ""} ${onRow === undefined ? "" : "can"}`}
            onClick={onRow === undefined ? undefined : (event) => isOnControl(event) || onRow(row)}
          >
            {columns.map(({ title, cell, isNumber, isHead }) => (
              <td
                key={title}
                role="cell"
                data-title={title}
                class={`${isNumber ? "number" : ""} ${isHead ? "head" : ""}`}
              >
                {cell(row)}
              </td>
            ))}
          </tr>
        ))}
      </tbody>
    </table>
    // biome-ignore-end lint/a11y/noRedundantRoles: as above
  );
}

function isOnControl(event: Event): boolean {
  return (event.target as Element).closest("a, button, input, select") !== null || String(getSelection()) !== "";
}
