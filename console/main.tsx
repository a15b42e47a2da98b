// The console begins here.

import { render } from "preact";
import { App } from "./app.tsx";
import "uplot/dist/uPlot.min.css";
import "./app.css";

const root = document.getElementById("app");
if (root !== null) render(<App />, root);
