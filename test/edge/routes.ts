// What a test asks a worker: a function by its name in the path, with a JSON value.

export type Routes = Readonly<Record<string, (body: never) => unknown>>;

export async function answerOf(routes: Routes, request: Request): Promise<Response> {
  const route = routes[new URL(request.url).pathname.slice(1)];
  if (route === undefined) return new Response("There is no such route.", { status: 404 });
  try {
    return Response.json((await route((await request.json()) as never)) ?? null);
  } catch (error) {
    return new Response(error instanceof Error ? error.stack : String(error), { status: 500 });
  }
}
