// Go: a channel for each of 1,000 keys, each with its goroutine, so that one key's events stay in order.
// Answers as bench/kit/measure.h says.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"
)

const keys = 1000

func ordered(count int) float64 {
	var running sync.WaitGroup
	channels := make([]chan int, keys)
	for i := range channels {
		channels[i] = make(chan int, 64)
		running.Add(1)
		go func(events chan int) {
			last := -1
			for event := range events {
				if event <= last {
					panic("order")
				}
				last = event
			}
			running.Done()
		}(channels[i])
	}
	from := time.Now()
	for i := 0; i < count; i++ {
		channels[i%keys] <- i
	}
	for _, channel := range channels {
		close(channel)
	}
	running.Wait()
	return time.Since(from).Seconds()
}

var counts = map[float64]int{}

func measure(name string, ms float64) {
	if name != "dispatch.keys" {
		fmt.Printf("%s none 0\n", name)
		return
	}
	seconds := ms / 1000
	if counts[ms] == 0 {
		count := 1000
		took := 0.0
		for took = ordered(count); took < seconds/8; took = ordered(count) {
			count *= 4
		}
		counts[ms] = int(float64(count) * seconds / took)
	}
	fmt.Printf("%s 1/s %g\n", name, float64(counts[ms])/ordered(counts[ms]))
}

func main() {
	runtime.GOMAXPROCS(2)
	if len(os.Args) == 3 {
		ms, _ := strconv.ParseFloat(os.Args[2], 64)
		measure(os.Args[1], ms)
		return
	}
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		if len(words) == 2 {
			ms, _ := strconv.ParseFloat(words[1], 64)
			measure(words[0], ms)
		}
	}
}
