/*
 * weir/weir.h - all of weir. Start at weir/topic.h (events), weir/runtime.h (reactors), weir/tcp.h.
 */
#ifndef WEIR_WEIR_H
#define WEIR_WEIR_H

#include <weir/base.h>
#include <weir/bucket.h>
#include <weir/file.h>
#include <weir/runtime.h>
#include <weir/tcp.h>
#include <weir/timer.h>
#include <weir/topic.h>
#include <weir/trace.h>
#include <weir/udp.h>
#include <weir/work.h>

#endif
