package compare

import (
	"math/rand/v2"
	"testing"
)

func TestZipfPrefersFewKeys(t *testing.T) {
	const count, draws = 1000, 200_000
	ranks, random, seen := newZipf(count, 0.99), rand.New(rand.NewPCG(1, 2)), make([]int, count)
	for range draws {
		seen[ranks.draw(random)]++
	}
	// The first rank has 1/zeta of all draws: 13.4 % of a thousand keys.
	if share := float64(seen[0]) / draws; share < 0.12 || share > 0.15 {
		t.Errorf("the first key has %.3f of all draws", share)
	}
}
