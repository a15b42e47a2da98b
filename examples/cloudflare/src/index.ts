import { TollgateObject, tollgateWorker } from "tollgate/edge";
import policy from "./policy.yaml";

export { TollgateObject };

export default tollgateWorker({ policy });
