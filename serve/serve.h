/* serve/serve.h - `weir serve`: the broker, its listeners, and the signals that end it. */
#ifndef WEIR_SERVE_SERVE_H
#define WEIR_SERVE_SERVE_H

int serve_main(int argc, char **argv); /* argv[0] is "serve"; the exit status */

#endif
