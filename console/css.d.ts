// Style sheets, which the build writes into a file of their own.

declare module "*.css";
