import { TollgateObject, tollgateWorker } from "tollgate/edge";
import policy from "./policy.json";

export { TollgateObject };

export default tollgateWorker({ policy });
