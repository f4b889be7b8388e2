package compare

import (
	"math"
	"math/rand/v2"
)

// zipf draws ranks with an exponent below 1, as YCSB does (Gray et al., "Quickly generating billion-record synthetic databases", 1994).
type zipf struct {
	count              int
	theta, alpha, zeta float64
	eta                float64
}

func newZipf(count int, theta float64) *zipf {
	sum := 0.0
	for rank := 1; rank <= count; rank++ {
		sum += 1 / math.Pow(float64(rank), theta)
	}
	two := 1 + math.Pow(0.5, theta)
	return &zipf{
		count: count, theta: theta, alpha: 1 / (1 - theta), zeta: sum,
		eta: (1 - math.Pow(2/float64(count), 1-theta)) / (1 - two/sum),
	}
}

// draw gives a number of 0 to count-1; frequent ones are spread over the key space.
func (z *zipf) draw(random *rand.Rand) int {
	u := random.Float64()
	rank := 0
	switch uz := u * z.zeta; {
	case uz < 1:
	case uz < 1+math.Pow(0.5, z.theta):
		rank = 1
	default:
		rank = int(float64(z.count) * math.Pow(z.eta*u-z.eta+1, z.alpha))
	}
	return int(uint64(min(rank, z.count-1)) * 2654435761 % uint64(z.count))
}
